//! Writing, which ends the loads that are under way.

use std::time::Duration;

use bytes::Bytes;

use super::{NEVER, ValueKeys};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table, exact},
    redis::{Command, Reply, Script},
};

pub(crate) static SET: Script = Script::new(include_str!("set.lua"));
pub(crate) static DEL: Script = Script::new(include_str!("del.lua"));

/// The end of a time to live, which is never [`NEVER`].
fn end(now: Timestamp, ttl: Duration) -> Timestamp {
    let last = Timestamp::from_micros(NEVER.as_micros() - 1);
    now.saturating_add(ttl).min(last)
}

/// Sets a value for `ttl`; `None`: it does not expire. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) keys: ValueKeys,
    pub(crate) value: Bytes,
    pub(crate) ttl: Option<Duration>,
}

impl Operation for Set {
    type Entry = Bytes;
    type Output = ();

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<(), StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        let expires_at = self.ttl.map_or(NEVER, |ttl| end(now, ttl));
        values.update_pair(value, lease, now, |live, lease| {
            *lease = None;
            *live = Some(Live {
                value: exact(&self.value),
                expires_at,
            });
        })
    }

    fn command(&self) -> Command {
        let command = Command::script(&SET, &[&self.keys.value, &self.keys.lease]);
        let command = command.arg(&*self.value);
        match self.ttl {
            Some(ttl) => command.millis(ttl),
            None => command,
        }
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}

/// Deletes a value; whether there was one. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Del(pub(crate) ValueKeys);

impl Operation for Del {
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        let ValueKeys { value, lease } = &self.0;
        values.update_pair(value, lease, now, |live, lease| {
            *lease = None;
            live.take().is_some()
        })
    }

    fn command(&self) -> Command {
        Command::script(&DEL, &[&self.0.value, &self.0.lease])
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}

/// Lets a value expire `ttl` from now; whether there is one. `PEXPIRE`.
#[derive(Debug)]
pub(crate) struct Expire {
    pub(crate) key: Key,
    pub(crate) ttl: Duration,
}

impl Operation for Expire {
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        values.update(&self.key, now, |live| {
            if let Some(live) = live {
                live.expires_at = end(now, self.ttl);
            }
            live.is_some()
        })
    }

    fn command(&self) -> Command {
        Command::new("PEXPIRE").key(&self.key).millis(self.ttl)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
