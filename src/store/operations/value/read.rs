//! Reading: plain commands, which a replica could answer.

use bytes::Bytes;

use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply},
};

/// The value of a key. `MGET` of one key, which takes a key of another type for a missing one,
/// where `GET` fails.
#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

impl Operation for Get {
    type Entry = Bytes;
    type Output = Option<Bytes>;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
        Ok(values.get(&self.0, now, |live| live.value.clone()))
    }

    fn command(&self) -> Command {
        Command::new("MGET").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<Option<Bytes>, StoreError> {
        reply.array()?.next_reply()?.optional_bytes()
    }
}

/// Whether a key has a value. `EXISTS`.
#[derive(Debug)]
pub(crate) struct Exists(pub(crate) Key);

impl Operation for Exists {
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        Ok(values.get(&self.0, now, |_| ()).is_some())
    }

    fn command(&self) -> Command {
        Command::new("EXISTS").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
