//! Plain values with an expiry: the key-value service's operations.

use std::time::Duration;

use bytes::Bytes;

use crate::store::{
    clock::Timestamp,
    memory::{Memory, Weigh, replace},
    namespace::Key,
    operation::Operation,
};
#[cfg(feature = "redis")]
use crate::store::{
    error::StoreError,
    redis::{Command, Reply},
};

impl Weigh for Bytes {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// The value of a key. `GET`.
#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

impl Operation for Get {
    type Output = Option<Bytes>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        memory.values.get(&self.0, now, |live| live.value.clone())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("GET").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.optional_bytes()
    }
}

/// Sets a key's value for `ttl`. `SET … PX`.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) key: Key,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Set {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) {
        memory.values.update(&self.key, now, |live| {
            replace(live, self.value.clone(), now, self.ttl)
        });
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("SET")
            .key(&self.key)
            .arg(&*self.value)
            .arg("PX")
            .millis(self.ttl)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.okay()
    }
}

/// Deletes a key; whether there was one. `UNLINK`.
#[derive(Debug)]
pub(crate) struct Del(pub(crate) Key);

impl Operation for Del {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        memory
            .values
            .update(&self.0, now, |live| live.take().is_some())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        Ok(reply.integer()? > 0)
    }
}

/// Whether a key has a value. `EXISTS`.
#[derive(Debug)]
pub(crate) struct Exists(pub(crate) Key);

impl Operation for Exists {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        memory.values.get(&self.0, now, |_| ()).is_some()
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("EXISTS").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
