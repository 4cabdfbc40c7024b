//! Destroying a session.

use super::{
    access::{Access, Answer, Reached, reached},
    record::SessionState,
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

impl Operation for DestroySession {
    type Entry = SessionState;
    type Output = Reached<()>;

    fn run(
        &self,
        sessions: &Table<SessionState>,
        now: Timestamp,
    ) -> Result<Self::Output, StoreError> {
        let Self { access, presented } = self;
        let destroyed = sessions.update(&access.key, now, |live| {
            let reached = access.reach(sessions, live, now, presented.is_some());
            let reached = reached.and_then(|_| Reached::Here(()));
            if matches!(reached, Reached::Here(())) {
                *live = None;
            }
            reached
        })?;
        if let (Reached::Here(()), Some(presented)) = (&destroyed, presented) {
            sessions.update(presented, now, |live| *live = None)?;
        }
        Ok(destroyed)
    }

    fn command(&self) -> Command {
        self.access.command(&DESTROY, self.presented.as_ref())
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| {
            matches!(answer, Answer::Number(1)).then_some(())
        })
    }
}
