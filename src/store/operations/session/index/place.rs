//! Where a user's session stands.

use std::time::Duration;

#[cfg(feature = "redis")]
use super::super::access::utf8;
use super::state::IndexState;
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply};
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Memory, replace},
    namespace::Key,
    operation::Operation,
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
    type Output = Location;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Location, StoreError> {
        let location = memory
            .session_index
            .get(&self.0, now, |live| match &live.value {
                IndexState::At(hash) => Location::At(hash.clone()),
                IndexState::Revoked | IndexState::Index(_) => Location::Revoked,
            });
        Ok(location.unwrap_or(Location::Unknown))
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("GET").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Location, StoreError> {
        Ok(match reply.optional_bytes()? {
            None => Location::Unknown,
            Some(text) if text == "!" => Location::Revoked,
            Some(hash) => utf8(&hash).map_or(Location::Revoked, Location::At),
        })
    }
}

/// Whether the session of this place was revoked.
pub(in crate::store::operations::session) fn is_revoked(
    memory: &Memory,
    place: &Key,
    now: Timestamp,
) -> bool {
    let revoked = memory
        .session_index
        .get(place, now, |live| matches!(live.value, IndexState::Revoked));
    revoked.unwrap_or(false)
}

/// Notes where a session stands, for as long as it may live.
pub(in crate::store::operations::session) fn note(
    memory: &Memory,
    place: &Key,
    id_hash: &str,
    now: Timestamp,
    life: Duration,
) -> Result<(), StoreError> {
    memory.session_index.update(place, now, |live| {
        replace(live, IndexState::At(id_hash.into()), now, life);
    })
}

/// Forgets where a session stood.
pub(in crate::store::operations::session) fn leave(
    memory: &Memory,
    place: &Key,
    now: Timestamp,
) -> Result<(), StoreError> {
    memory.session_index.update(place, now, |live| *live = None)
}

/// Forgets where a session stood that has ended. One `UNLINK`.
#[derive(Debug)]
pub(crate) struct LeavePlace(pub(crate) Key);

impl Operation for LeavePlace {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        leave(memory, &self.0, now)
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
