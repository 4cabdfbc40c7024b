//! Creating a session.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "redis")]
use super::access::{field, millis};
use super::{
    bounds::Size,
    index::{is_revoked, note},
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
    pub(crate) user: Option<Bound>,
    pub(crate) fields: Fields,
}

/// The user of a new session, and what its place holds.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) user: Arc<str>,
    pub(crate) place: Key,
    pub(crate) id_hash: Box<str>,
    pub(crate) absolute: Duration,
}

impl Operation for CreateSession {
    /// Whether it is stored: not if it was revoked before.
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        let record = Record {
            lineage: self.lineage.clone(),
            user: self.user.as_ref().map(|bound| bound.user.clone()),
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
        memory.sessions.update(&self.key, now, |live| {
            if let Some(bound) = &self.user {
                if is_revoked(memory, &bound.place, now) {
                    return Ok(false);
                }
                note(memory, &bound.place, &bound.id_hash, now, bound.absolute)?;
            }
            replace(live, SessionState::Live(record), now, self.ttl);
            Ok(true)
        })?
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let bound = self.user.as_ref();
        let command = match bound {
            Some(bound) => Command::script(&CREATE, &[&self.key, &bound.place]),
            None => Command::script(&CREATE, &[&self.key]),
        };
        let command = command
            .arg(&*self.lineage)
            .arg(millis(self.ttl))
            .arg(format!("{:x}", Size::of(&self.fields).bytes))
            .arg(bound.map_or("", |bound| &bound.user))
            .arg(bound.map_or("", |bound| &bound.id_hash))
            .arg(bound.map_or(0, |bound| millis(bound.absolute)));
        (self.fields.iter()).fold(command, |command, (name, value)| {
            command.arg(field(name)).arg(&**value)
        })
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.integer().map(|stored| stored == 1)
    }
}
