//! Filling: announce a load, then store what it found or take the announcement back.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Place,
    lease::{self, Token},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Table, exact, replace},
    redis::{Command, Reply, Script},
};

pub(crate) static ANNOUNCE: Script = Script::new(include_str!("announce.lua"));
pub(crate) static FILL: Script = Script::new(include_str!("fill.lua"));

/// Announces a load, unless there is a value after all. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Announce {
    pub(crate) place: Place,
    pub(crate) token: Token,
    /// How long the load may take.
    pub(crate) limit: Duration,
    /// Announces it whatever is stored, because that cannot be read.
    pub(crate) replace: bool,
}

/// What to do about a missing value.
#[derive(Debug)]
pub(crate) enum Announced {
    /// Nothing: somebody else has stored it.
    Present(Bytes),
    /// Load it.
    Load,
}

impl Operation for Announce {
    type Entry = Bytes;
    type Output = Announced;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Announced, StoreError> {
        let Place { value, lease } = &self.place;
        values.update_pair(value, lease, now, |live, lease| {
            if let Some(live) = live
                && !self.replace
            {
                return Announced::Present(live.value.clone());
            }
            lease::add(lease, &self.token, now.saturating_add(self.limit));
            Announced::Load
        })
    }

    fn command(&self) -> Command {
        Command::script(&ANNOUNCE, &[&self.place.value, &self.place.lease])
            .arg(&*self.token.0)
            .millis(self.limit)
            .arg(u8::from(self.replace))
    }

    fn reply(&self, reply: Reply) -> Result<Announced, StoreError> {
        let stored = reply.optional_bytes()?;
        Ok(stored.map_or(Announced::Load, Announced::Present))
    }
}

/// Stores what was loaded, unless another fill, a [`Set`](super::Set) or a [`Del`](super::Del)
/// came in between; whether it was stored. Ends all loads that are under way. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) place: Place,
    pub(crate) token: Token,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Fill {
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        let Place { value, lease } = &self.place;
        values.update_pair(value, lease, now, |live, lease| {
            let stands = lease::has(lease, &self.token);
            if stands {
                *lease = None;
                replace(live, exact(&self.value), now, self.ttl);
            }
            stands
        })
    }

    fn command(&self) -> Command {
        Command::script(&FILL, &[&self.place.value, &self.place.lease])
            .arg(&*self.token.0)
            .arg(&*self.value)
            .millis(self.ttl)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

/// Takes an announcement back: the load has found nothing to store. `SREM`.
#[derive(Debug)]
pub(crate) struct Abandon {
    pub(crate) lease: Key,
    pub(crate) token: Token,
}

impl Operation for Abandon {
    type Entry = Bytes;
    type Output = ();

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<(), StoreError> {
        values.update(&self.lease, now, |lease| lease::remove(lease, &self.token))
    }

    fn command(&self) -> Command {
        Command::new("SREM").key(&self.lease).arg(&*self.token.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
