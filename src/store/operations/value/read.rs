//! Reading: plain commands, which a replica could answer.

use std::time::Duration;

use bytes::Bytes;

use super::NEVER;
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, Reply},
};

/// The value of a key. `GET`.
#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

impl Operation for Get {
    type Entry = Bytes;
    type Output = Option<Bytes>;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
        Ok(values.get(&self.0, now, |live| live.value.clone()))
    }

    fn command(&self) -> Command {
        Command::new("GET").key(&self.0).pass_over_other_types()
    }

    fn reply(&self, reply: Reply) -> Result<Option<Bytes>, StoreError> {
        reply.optional_bytes()
    }
}

/// The values of several keys, which share a slot where there are slots. One `MGET`.
#[derive(Debug)]
pub(crate) struct GetMany(pub(crate) Vec<Key>);

impl Operation for GetMany {
    type Entry = Bytes;
    type Output = Vec<Option<Bytes>>;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Self::Output, StoreError> {
        let get = |key| values.get(key, now, |live| live.value.clone());
        Ok(self.0.iter().map(get).collect())
    }

    fn command(&self) -> Command {
        self.0.iter().fold(Command::new("MGET"), Command::key)
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        let values: Vec<_> = (reply.array()?)
            .map(Reply::optional_bytes)
            .collect::<Result<_, _>>()?;
        match values.len() == self.0.len() {
            true => Ok(values),
            false => Err(StoreError::UnexpectedReply("not as many values as keys")),
        }
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

/// When a value expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long from now.
    In(Duration),
    /// Not at all: it was written by
    /// [`set_without_ttl`](crate::key_value::KeyValue::set_without_ttl).
    Never,
}

/// When the value of a key expires; `None` if there is none. `PTTL`.
#[derive(Debug)]
pub(crate) struct ReadExpiry(pub(crate) Key);

impl Operation for ReadExpiry {
    type Entry = Bytes;
    type Output = Option<Expiry>;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Option<Expiry>, StoreError> {
        let expires_at = values.get(&self.0, now, |live| live.expires_at);
        Ok(expires_at.map(|end| match end == NEVER {
            true => Expiry::Never,
            false => Expiry::In(end.saturating_since(now)),
        }))
    }

    fn command(&self) -> Command {
        Command::new("PTTL").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<Option<Expiry>, StoreError> {
        Ok(match reply.integer()? {
            -1 => Some(Expiry::Never),
            left => u64::try_from(left)
                .ok()
                .map(|left| Expiry::In(Duration::from_millis(left))),
        })
    }
}
