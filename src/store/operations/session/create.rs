//! Creating a session.

use std::{sync::Arc, time::Duration};

use super::{
    access::{field, millis},
    bounds::Size,
    record::{Fields, Record, SessionState},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Table, exact, replace},
    redis::{Command, Reply, Script},
};

pub(crate) static CREATE: Script = Script::new(include_str!("create.lua"));

/// Stores a new session. Its key must come from a fresh random id, and its fields be within the
/// bounds. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct CreateSession {
    pub(crate) key: Key,
    /// The lesser of the idle and the absolute timeout.
    pub(crate) ttl: Duration,
    pub(crate) lineage: Arc<str>,
    /// Who is logged in.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) fields: Fields,
}

impl Operation for CreateSession {
    type Entry = SessionState;
    type Output = ();

    fn run(&self, sessions: &Table<SessionState>, now: Timestamp) -> Result<(), StoreError> {
        let record = Record {
            lineage: self.lineage.clone(),
            user: self.user.clone(),
            created: now,
            issued: now,
            touched: now,
            previous: None,
            size: Size::of(&self.fields),
            fields: Arc::new(
                (self.fields.iter())
                    .map(|(name, value)| (name.clone(), exact(value)))
                    .collect(),
            ),
        };
        sessions.update(&self.key, now, |live| {
            replace(live, SessionState::Live(record), now, self.ttl);
        })
    }

    fn command(&self) -> Command {
        let command = Command::script(&CREATE, &[&self.key])
            .arg(&*self.lineage)
            .arg(millis(self.ttl))
            .arg(format!("{:x}", Size::of(&self.fields).bytes))
            .arg(self.user.as_deref().unwrap_or_default());
        (self.fields.iter()).fold(command, |command, (name, value)| {
            command.arg(field(name)).arg(&**value)
        })
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.integer().map(drop)
    }
}
