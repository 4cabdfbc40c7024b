//! Creating a session.

use std::sync::Arc;

#[cfg(feature = "redis")]
use super::{access::field, session_script};
use super::{
    access::{Access, Timeouts},
    record::{Fields, Record, SessionState},
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Memory, exact, replace},
    namespace::Key,
    operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static CREATE: Script = session_script!("create");

/// Stores a new session. Its key must come from a fresh random id. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct CreateSession {
    pub(crate) key: Key,
    pub(crate) timeouts: Timeouts,
    pub(crate) lineage: Arc<str>,
    pub(crate) fields: Fields,
}

impl Operation for CreateSession {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        let record = Record {
            lineage: self.lineage.clone(),
            created: now,
            issued: now,
            touched: now,
            fields: Arc::new(
                (self.fields.iter())
                    .map(|(name, value)| (name.clone(), exact(value)))
                    .collect(),
            ),
        };
        let ttl = self.timeouts.idle.min(self.timeouts.absolute);
        memory.sessions.update(&self.key, now, |live| {
            replace(live, SessionState::Live(record), now, ttl);
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let access = Access {
            key: self.key.clone(),
            timeouts: self.timeouts,
            lineage: Some(self.lineage.clone()),
        };
        let command = access.command(&CREATE, None);
        (self.fields.iter()).fold(command, |command, (name, value)| {
            command.arg(field(name)).arg(&**value)
        })
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.array().map(drop)
    }
}
