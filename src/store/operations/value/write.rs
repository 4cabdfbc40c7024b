//! Writing, which ends the loads that are under way.

use std::time::Duration;

use bytes::Bytes;

use super::ValueKeys;
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    memory::{Table, exact, replace},
    redis::{Command, Reply, Script},
};

pub(crate) static SET: Script = Script::new(include_str!("set.lua"));
pub(crate) static DEL: Script = Script::new(include_str!("del.lua"));

/// Sets a value for `ttl`. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) keys: ValueKeys,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Set {
    type Entry = Bytes;
    type Output = ();

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<(), StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        values.update_pair(value, lease, now, |live, lease| {
            *lease = None;
            replace(live, exact(&self.value), now, self.ttl);
        })
    }

    fn command(&self) -> Command {
        Command::script(&SET, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.value)
            .millis(self.ttl)
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
