//! Keeping a load's lease, and giving it back.

use std::time::Duration;

use bytes::Bytes;

use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table},
    operations::generation::Generation,
    redis::{Command, Reply, Script},
};

/// Names one load; all are of one length.
pub(crate) type Token = Generation;

pub(crate) static RENEW_LEASE: Script = Script::new(include_str!("renew_lease.lua"));
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
    type Entry = Bytes;
    type Output = bool;

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<bool, StoreError> {
        values.update(&self.lease, now, |lease| {
            let held = is_held_by(lease, &self.token);
            if let Some(live) = lease.as_mut().filter(|_| held) {
                live.expires_at = now.saturating_add(self.duration);
            }
            held
        })
    }

    fn command(&self) -> Command {
        Command::script(&RENEW_LEASE, &[&self.lease])
            .arg(&*self.token.0)
            .millis(self.duration)
    }

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
    type Entry = Bytes;
    type Output = ();

    fn run(&self, values: &Table<Bytes>, now: Timestamp) -> Result<(), StoreError> {
        values.update(&self.lease, now, |lease| {
            if is_held_by(lease, &self.token) {
                *lease = None;
            }
        })
    }

    fn command(&self) -> Command {
        Command::script(&RELEASE_LEASE, &[&self.lease]).arg(&*self.token.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
