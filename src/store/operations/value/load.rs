//! What a load does to the store: take the lease, store what was found.

use std::time::Duration;

use bytes::Bytes;

use super::{
    ValueKeys, identity,
    lease::{Token, is_held_by},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    memory::{Table, exact, replace},
    redis::{Command, Reply, Script},
};

pub(crate) static TAKE_LEASE: Script = Script::new(include_str!("take_lease.lua"));
pub(crate) static FILL: Script = Script::new(include_str!("fill.lua"));

/// Takes the lease of a load, unless there is a value after all or another load has it. One
/// EVALSHA.
#[derive(Debug)]
pub(crate) struct TakeLease {
    pub(crate) keys: ValueKeys,
    pub(crate) token: Token,
    /// When the lease expires unless it is renewed.
    pub(crate) duration: Duration,
    /// The [identity](super::identity) of a value that is to be replaced.
    pub(crate) replace: Option<Bytes>,
}

/// What to do about a value that is missing or to be replaced.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Nothing: somebody else has stored this one.
    Present(Bytes),
    /// Load it: the lease is taken.
    Lease,
    /// Wait: another load has the lease.
    Held,
}

impl Operation for TakeLease {
    type Entry = Bytes;
    type Output = Taken;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<Taken, StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        values.update_pair(value, lease, now, |live, lease| {
            if let Some(live) = live
                && self.replace.as_deref() != Some(identity(&live.value))
            {
                return Taken::Present(live.value.clone());
            }
            if lease.is_some() && !is_held_by(lease, &self.token) {
                return Taken::Held;
            }
            replace(lease, self.token.0.clone(), now, self.duration);
            Taken::Lease
        })
    }

    fn command(&self) -> Command {
        Command::script(&TAKE_LEASE, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.token.0)
            .millis(self.duration)
            .arg(u8::from(self.replace.is_some()))
            .arg(self.replace.as_deref().unwrap_or_default())
    }

    fn reply(&self, reply: Reply) -> Result<Taken, StoreError> {
        match reply.integer_or_other() {
            Ok(1) => Ok(Taken::Lease),
            Ok(_) => Ok(Taken::Held),
            Err(value) => value.bytes().map(Taken::Present),
        }
    }
}

/// Stores what was loaded and ends the lease, unless the load has it no more; whether it was
/// stored. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) keys: ValueKeys,
    pub(crate) token: Token,
    pub(crate) value: Bytes,
    pub(crate) ttl: Duration,
}

impl Operation for Fill {
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        let ValueKeys { value, lease } = &self.keys;
        values.update_pair(value, lease, now, |live, lease| {
            let held = is_held_by(lease, &self.token);
            if held {
                *lease = None;
                replace(live, exact(&self.value), now, self.ttl);
            }
            held
        })
    }

    fn command(&self) -> Command {
        Command::script(&FILL, &[&self.keys.value, &self.keys.lease])
            .arg(&*self.token.0)
            .arg(&*self.value)
            .millis(self.ttl)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}
