//! Reading: plain commands, which a replica could answer.

use bytes::Bytes;

#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply};
use crate::store::{Key, Operation, StoreError, Timestamp, memory::Memory};

/// The value of a key. `MGET` of one key, which takes a key of another type for a missing one,
/// where `GET` fails.
#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

impl Operation for Get {
    type Output = Option<Bytes>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
        Ok(memory.values.get(&self.0, now, |live| live.value.clone()))
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("MGET").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Option<Bytes>, StoreError> {
        reply.array()?.next_reply()?.optional_bytes()
    }
}

/// Whether a key has a value. `EXISTS`.
#[derive(Debug)]
pub(crate) struct Exists(pub(crate) Key);

impl Operation for Exists {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        Ok(memory.values.get(&self.0, now, |_| ()).is_some())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("EXISTS").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
