//! Reading, keeping and removing a stamp.

use std::time::Duration;

use super::Stamp;
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Table, replace},
    redis::{Command, Reply, Script},
};

pub(crate) static KEEP_STAMP: Script = Script::new(include_str!("keep_stamp.lua"));

/// The stamp of a tag, if it has one. `GET`.
#[derive(Debug)]
pub(crate) struct ReadStamp(pub(crate) Key);

impl Operation for ReadStamp {
    type Entry = Stamp;
    type Output = Option<Stamp>;

    fn run(&self, stamps: &Table<Stamp>, now: Timestamp) -> Result<Self::Output, StoreError> {
        Ok(stamps.get(&self.0, now, |live| live.value.clone()))
    }

    fn command(&self) -> Command {
        Command::new("GET").key(&self.0).pass_over_other_types()
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        let stamp = reply.optional_bytes()?;
        Ok(stamp.map(Stamp))
    }
}

/// The stamp of a tag, for an entry that will live for `ttl`; a new one if it has none. It is asked
/// for before the entry is made. One EVALSHA.
#[derive(Debug)]
pub(crate) struct KeepStamp {
    pub(crate) key: Key,
    pub(crate) new: Stamp,
    pub(crate) ttl: Duration,
}

impl KeepStamp {
    pub(crate) fn new(key: Key, ttl: Duration) -> Self {
        let new = Stamp::random();
        Self { key, new, ttl }
    }
}

impl Operation for KeepStamp {
    type Entry = Stamp;
    type Output = Stamp;

    fn run(&self, stamps: &Table<Stamp>, now: Timestamp) -> Result<Stamp, StoreError> {
        stamps.update(&self.key, now, |live| match live {
            Some(live) => {
                live.expires_at = live.expires_at.max(now.saturating_add(self.ttl));
                live.value.clone()
            }
            None => {
                replace(live, self.new.clone(), now, self.ttl);
                self.new.clone()
            }
        })
    }

    fn command(&self) -> Command {
        Command::script(&KEEP_STAMP, &[&self.key])
            .arg(&*self.new.0)
            .millis(self.ttl)
    }

    fn reply(&self, reply: Reply) -> Result<Stamp, StoreError> {
        reply.bytes().map(Stamp)
    }
}

/// Makes every entry of a tag invalid, those that are being made included. `UNLINK`.
#[derive(Debug)]
pub(crate) struct RemoveStamp(pub(crate) Key);

impl Operation for RemoveStamp {
    type Entry = Stamp;
    type Output = ();

    fn run(&self, stamps: &Table<Stamp>, now: Timestamp) -> Result<(), StoreError> {
        stamps.update(&self.0, now, |live| *live = None)
    }

    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
