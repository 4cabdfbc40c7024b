//! Filling: announce a load, then store what it found or take the announcement back.

use std::time::Duration;

use bytes::Bytes;

use super::{
    ValueKeys,
    tokens::{self, Token},
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    Key, Operation, StoreError, Timestamp,
    memory::{Memory, exact, replace},
};

#[cfg(feature = "redis")]
pub(crate) static TAKE_LEASE: Script = Script::new(include_str!("take_lease.lua"));
#[cfg(feature = "redis")]
pub(crate) static FILL: Script = Script::new(include_str!("fill.lua"));

/// Announces a load, unless there is a value after all. One EVALSHA.
#[derive(Debug)]
pub(crate) struct TakeLease {
    pub(crate) keys: ValueKeys,
    pub(crate) token: Token,
    /// How long the load may take.
    pub(crate) limit: Duration,
    /// Announces it whatever is stored, because that cannot be read.
    pub(crate) replace: bool,
}

/// What to do about a missing value.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Nothing: somebody else has stored it.
    Present(Bytes),
    /// Load it.
    Load,
}

impl Operation for TakeLease {
    type Output = Taken;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Taken, StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        memory.values.update_pair(value, lease, now, |live, lease| {
            if let Some(live) = live
                && !self.replace
            {
                return Taken::Present(live.value.clone());
            }
            tokens::add(lease, &self.token, now.saturating_add(self.limit));
            Taken::Load
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&TAKE_LEASE, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.token.0)
            .millis(self.limit)
            .arg(u8::from(self.replace))
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Taken, StoreError> {
        let stored = reply.optional_bytes()?;
        Ok(stored.map_or(Taken::Load, Taken::Present))
    }
}

/// Stores what was loaded, unless another fill, a [`Set`](super::Set) or a [`Del`](super::Del)
/// came in between; whether it was stored. Ends all loads that are under way. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) keys: ValueKeys,
    pub(crate) token: Token,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Fill {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        memory.values.update_pair(value, lease, now, |live, lease| {
            let stands = tokens::has(lease, &self.token);
            if stands {
                *lease = None;
                replace(live, exact(&self.value), now, self.ttl);
            }
            stands
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&FILL, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.token.0)
            .arg(&*self.value)
            .millis(self.ttl)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

/// Takes an announcement back: the load has found nothing to store. `SREM`.
#[derive(Debug)]
pub(crate) struct ReleaseLease {
    pub(crate) lease: Key,
    pub(crate) token: Token,
}

impl Operation for ReleaseLease {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        (memory.values).update(&self.lease, now, |lease| tokens::remove(lease, &self.token))
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("SREM").key(&self.lease).arg(&*self.token.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
