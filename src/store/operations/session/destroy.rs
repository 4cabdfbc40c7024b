//! Destroying a session.

use super::access::{Access, Reached};
#[cfg(feature = "redis")]
use super::{
    access::{Answer, reached},
    session_script,
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    clock::Timestamp, error::StoreError, memory::Memory, namespace::Key, operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static DESTROY: Script = session_script!("destroy");

/// Ends a session for good. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct DestroySession {
    pub(crate) access: Access,
    /// The id that the client has presented, if it led here: it goes as well.
    pub(crate) presented: Option<Key>,
}

impl Operation for DestroySession {
    type Output = Reached<()>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let Self { access, presented } = self;
        let destroyed = memory.sessions.update(&access.key, now, |live| {
            let reached = access.reach(memory, live, now, presented.is_some());
            let reached = reached.and_then(|_| Reached::Here(()));
            if matches!(reached, Reached::Here(())) {
                *live = None;
            }
            reached
        })?;
        if let (Reached::Here(()), Some(presented)) = (&destroyed, presented) {
            memory
                .sessions
                .update(presented, now, |live| *live = None)?;
        }
        Ok(destroyed)
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        self.access.command(&DESTROY, self.presented.as_ref())
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| {
            matches!(answer, Answer::Number(1)).then_some(())
        })
    }
}
