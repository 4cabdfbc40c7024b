//! Filling: announce a load, then store what it found.

use std::time::Duration;

use bytes::Bytes;

use super::Place;
#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{
    Operation, StoreError, Timestamp,
    memory::{Live, Memory, exact, replace},
    operations::generation::Generation,
};

#[cfg(feature = "redis")]
pub(crate) static ANNOUNCE: Script = Script::new(include_str!("announce.lua"));
#[cfg(feature = "redis")]
pub(crate) static FILL: Script = Script::new(include_str!("fill.lua"));

/// Announces a load, unless there is a value after all. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Announce {
    pub(crate) place: Place,
    pub(crate) generation: Generation,
    /// How long the load may take.
    pub(crate) lease: Duration,
    /// Announces it whatever is stored, because that cannot be read.
    pub(crate) replace: bool,
}

/// What to do about a missing value.
#[derive(Debug)]
pub(crate) enum Announced {
    /// Nothing: somebody else has stored it.
    Present(Bytes),
    /// Load it, and name this generation in the fill.
    Load(Generation),
}

impl Operation for Announce {
    type Output = Announced;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Announced, StoreError> {
        let Place { value, lease } = &self.place;
        memory.values.update_pair(value, lease, now, |live, lease| {
            if let Some(live) = live
                && !self.replace
            {
                return Announced::Present(live.value.clone());
            }
            let lapse = now.saturating_add(self.lease);
            let lease = lease.get_or_insert_with(|| Live {
                value: self.generation.0.clone(),
                expires_at: lapse,
            });
            lease.expires_at = lease.expires_at.max(lapse);
            Announced::Load(Generation(lease.value.clone()))
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&ANNOUNCE, &[&self.place.value, &self.place.lease])
            .arg(&*self.generation.0)
            .millis(self.lease)
            .arg(u8::from(self.replace))
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Announced, StoreError> {
        let mut replies = reply.array()?;
        Ok(match replies.next_reply()?.optional_bytes()? {
            Some(value) => Announced::Present(value),
            None => Announced::Load(Generation(replies.next_reply()?.bytes()?)),
        })
    }
}

/// Stores what was loaded, unless a [`Set`](super::Set) or a [`Del`](super::Del) came in
/// between; whether it was stored. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) place: Place,
    pub(crate) generation: Generation,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Fill {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        let Place { value, lease } = &self.place;
        memory.values.update_pair(value, lease, now, |live, lease| {
            let stands = lease.take_if(|lease| lease.value == self.generation.0);
            if stands.is_some() {
                replace(live, exact(&self.value), now, self.ttl);
            }
            stands.is_some()
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&FILL, &[&self.place.value, &self.place.lease])
            .arg(&*self.generation.0)
            .arg(&*self.value)
            .millis(self.ttl)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}
