//! Destroying a session.

use std::sync::Arc;

use super::{
    access::{Access, Answer, Reached, reached},
    record::SessionState,
    reply::utf8,
    session_script,
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, Reply, Script},
};

pub(crate) static DESTROY: Script = session_script!("destroy");

/// Ends a session for good. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct DestroySession {
    pub(crate) access: Access,
    /// The id that the client has presented, if it led here: it goes as well.
    pub(crate) presented: Option<Key>,
}

/// What a session was that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destroyed {
    pub(crate) lineage: Arc<str>,
    /// Who was logged in.
    pub(crate) user: Option<Arc<str>>,
}

impl Operation for DestroySession {
    type Entry = SessionState;
    type Output = Reached<Destroyed>;

    fn run(
        &self,
        sessions: &Table<SessionState>,
        now: Timestamp,
    ) -> Result<Self::Output, StoreError> {
        let Self { access, presented } = self;
        let destroyed = sessions.update(&access.key, now, |live| {
            let reached = access.reach(sessions, live, now, presented.is_some());
            let reached = reached.and_then(|session| {
                Reached::Here(Destroyed {
                    lineage: session.record.lineage.clone(),
                    user: session.record.user.clone(),
                })
            });
            if matches!(reached, Reached::Here(_)) {
                *live = None;
            }
            reached
        })?;
        if let (Reached::Here(_), Some(presented)) = (&destroyed, presented) {
            sessions.update(presented, now, |live| *live = None)?;
        }
        Ok(destroyed)
    }

    fn command(&self) -> Command {
        self.access.command(&DESTROY, self.presented.as_ref())
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| {
            let Answer::Text(text) = answer else {
                return None;
            };
            let (lineage, user) = text.strip_prefix(b"=")?.split_at_checked(16)?;
            Some(Destroyed {
                lineage: utf8(lineage)?,
                user: utf8(user).filter(|user: &Arc<str>| !user.is_empty()),
            })
        })
    }
}
