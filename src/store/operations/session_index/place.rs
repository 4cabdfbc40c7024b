//! Where a user's session stands.

use std::time::Duration;

use super::state::{IndexState, text};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Table, replace},
    redis::{Command, Reply},
};

/// Reads where a session stands. One `GET`.
#[derive(Debug)]
pub(crate) struct LocateSession(pub(crate) Key);

/// Where a session stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Under the id with this hash, if it has not ended.
    At(Box<str>),
    Revoked,
    /// It was not stored yet, or it has ended.
    Unknown,
}

impl Operation for LocateSession {
    type Entry = IndexState;
    type Output = Location;

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<Location, StoreError> {
        let location = index.get(&self.0, now, |live| match &live.value {
            IndexState::At(hash) => Location::At(hash.clone()),
            IndexState::Revoked | IndexState::Index(_) => Location::Revoked,
        });
        Ok(location.unwrap_or(Location::Unknown))
    }

    fn command(&self) -> Command {
        Command::new("GET").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<Location, StoreError> {
        Ok(match reply.optional_bytes()? {
            None => Location::Unknown,
            Some(mark) if mark == "!" => Location::Revoked,
            Some(hash) => text(&hash).map_or(Location::Revoked, Location::At),
        })
    }
}

/// Whether the session of this place was revoked.
pub(crate) fn is_revoked(index: &Table<IndexState>, place: &Key, now: Timestamp) -> bool {
    let revoked = index.get(place, now, |live| matches!(live.value, IndexState::Revoked));
    revoked.unwrap_or(false)
}

/// Notes where a session stands, for as long as it may live.
pub(crate) fn note(
    index: &Table<IndexState>,
    place: &Key,
    id_hash: &str,
    now: Timestamp,
    life: Duration,
) -> Result<(), StoreError> {
    index.update(place, now, |live| {
        replace(live, IndexState::At(id_hash.into()), now, life);
    })
}

/// Forgets where a session stood.
pub(crate) fn leave(
    index: &Table<IndexState>,
    place: &Key,
    now: Timestamp,
) -> Result<(), StoreError> {
    index.update(place, now, |live| *live = None)
}

/// Forgets where a session stood that has ended. One `UNLINK`.
#[derive(Debug)]
pub(crate) struct LeavePlace(pub(crate) Key);

impl Operation for LeavePlace {
    type Entry = IndexState;
    type Output = ();

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<(), StoreError> {
        leave(index, &self.0, now)
    }

    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
