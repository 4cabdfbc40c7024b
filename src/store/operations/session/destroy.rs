//! Destroying a session.

use super::access::{Access, Reached};
#[cfg(feature = "redis")]
use super::{access::reached, session_script};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{clock::Timestamp, error::StoreError, memory::Memory, operation::Operation};

#[cfg(feature = "redis")]
pub(crate) static DESTROY: Script = session_script!("destroy");

/// Ends a session for good. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct DestroySession(pub(crate) Access);

impl Operation for DestroySession {
    type Output = Reached<()>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let Self(access) = self;
        memory.sessions.update(&access.key, now, |live| {
            let reached = access.with(live, now, |_| ());
            if matches!(reached, Reached::Here(())) {
                *live = None;
            }
            reached
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        self.0.command(&DESTROY, None)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |_| Ok(()))
    }
}
