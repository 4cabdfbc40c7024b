//! Writing, which ends the loads that are under way.

use std::time::Duration;

use bytes::Bytes;

use super::ValueKeys;
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    Operation, StoreError, Timestamp,
    memory::{Memory, exact, replace},
};

#[cfg(feature = "redis")]
pub(crate) static SET: Script = Script::new(include_str!("set.lua"));
#[cfg(feature = "redis")]
pub(crate) static DEL: Script = Script::new(include_str!("del.lua"));

/// Sets a value for `ttl`. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) keys: ValueKeys,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Set {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        memory.values.update_pair(value, lease, now, |live, lease| {
            *lease = None;
            replace(live, exact(&self.value), now, self.ttl);
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&SET, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.value)
            .millis(self.ttl)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}

/// Deletes a value; whether there was one. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Del(pub(crate) ValueKeys);

impl Operation for Del {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        let ValueKeys { value, lease } = &self.0;
        memory.values.update_pair(value, lease, now, |live, lease| {
            *lease = None;
            live.take().is_some()
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&DEL, &[&self.0.value, &self.0.lease])
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
