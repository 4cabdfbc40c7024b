//! Noting activity, and the first use of a new id.

use std::time::Duration;

use super::{
    access::{Access, Answer, Reached, millis, reached},
    record::SessionState,
    session_script,
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table},
    redis::{Command, Reply, Script},
};

pub(crate) static TOUCH: Script = session_script!("touch");

/// Notes the activity of a session that is still there, when it is time. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct TouchSession {
    pub(crate) access: Access,
    /// The client has presented an id for the first time.
    pub(crate) first_use: Option<FirstUse>,
}

/// The id before one that was presented for the first time. From now on it ends with its grace.
#[derive(Debug, Clone)]
pub(crate) struct FirstUse {
    pub(crate) key: Key,
    pub(crate) id_hash: Box<str>,
    pub(crate) grace: Duration,
}

impl TouchSession {
    fn touch(
        &self,
        sessions: &Table<SessionState>,
        live: &mut Option<Live<SessionState>>,
        before: Option<&mut Option<Live<SessionState>>>,
        now: Timestamp,
    ) -> Reached<()> {
        let reached = (self.access).reach(sessions, live, now, self.first_use.is_some());
        reached.and_then(|mut session| {
            if let (Some(first), Some(before)) = (&self.first_use, before)
                && session.record.previous.as_ref() == Some(&first.id_hash)
            {
                session.record.previous = None;
                let ends = session.record.issued.saturating_add(first.grace);
                let ends = ends.min(now.saturating_add(session.remaining));
                if let Some(before) = before {
                    before.expires_at = ends;
                }
            }
            session.touch(now);
            Reached::Here(())
        })
    }
}

impl Operation for TouchSession {
    type Entry = SessionState;
    type Output = Reached<()>;

    fn run(
        &self,
        sessions: &Table<SessionState>,
        now: Timestamp,
    ) -> Result<Self::Output, StoreError> {
        let key = &self.access.key;
        match &self.first_use {
            None => sessions.update(key, now, |live| self.touch(sessions, live, None, now)),
            Some(first) => sessions.update_pair(key, &first.key, now, |live, before| {
                self.touch(sessions, live, Some(before), now)
            }),
        }
    }

    fn command(&self) -> Command {
        let Some(first) = &self.first_use else {
            return self.access.command(&TOUCH, None);
        };
        (self.access.command(&TOUCH, [&first.key]))
            .arg(&*first.id_hash)
            .arg(millis(first.grace))
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| {
            matches!(answer, Answer::Number(1)).then_some(())
        })
    }
}
