//! Keeping a load's lease, and giving it back.

use std::time::Duration;

use bytes::Bytes;

#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    Key, Operation, StoreError, Timestamp,
    memory::{Live, Memory},
    operations::generation::Generation,
};

/// Names one load; all are of one length.
pub(crate) type Token = Generation;

#[cfg(feature = "redis")]
pub(crate) static RENEW_LEASE: Script = Script::new(include_str!("renew_lease.lua"));
#[cfg(feature = "redis")]
pub(crate) static RELEASE_LEASE: Script = Script::new(include_str!("release_lease.lua"));

/// Whether the load of `token` has the lease.
pub(super) fn is_held_by(lease: &Option<Live<Bytes>>, token: &Token) -> bool {
    lease.as_ref().is_some_and(|live| live.value == token.0)
}

/// Lets a load keep its lease until `duration` from now; whether it has it. One EVALSHA.
#[derive(Debug)]
pub(crate) struct RenewLease {
    pub(crate) lease: Key,
    pub(crate) token: Token,
    pub(crate) duration: Duration,
}

impl Operation for RenewLease {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        memory.values.update(&self.lease, now, |lease| {
            let held = is_held_by(lease, &self.token);
            if let Some(live) = lease.as_mut().filter(|_| held) {
                live.expires_at = now.saturating_add(self.duration);
            }
            held
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&RENEW_LEASE, &[&self.lease])
            .arg(&*self.token.0)
            .millis(self.duration)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

/// Ends a load's lease without a value. One EVALSHA.
#[derive(Debug)]
pub(crate) struct ReleaseLease {
    pub(crate) lease: Key,
    pub(crate) token: Token,
}

impl Operation for ReleaseLease {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        memory.values.update(&self.lease, now, |lease| {
            if is_held_by(lease, &self.token) {
                *lease = None;
            }
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&RELEASE_LEASE, &[&self.lease]).arg(&*self.token.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
