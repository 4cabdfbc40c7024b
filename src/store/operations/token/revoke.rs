//! The end of families. Each is idempotent.

use super::family::{Digest, Families, FamilyName};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, Reply, Script},
};

pub(crate) static REVOKE_DEVICE: Script = Script::new(include_str!("revoke_device.lua"));

/// Ends a family. `HDEL`.
#[derive(Debug)]
pub(crate) struct RevokeFamily {
    pub(crate) user: Key,
    pub(crate) family: FamilyName,
}

impl Operation for RevokeFamily {
    type Entry = Families;
    type Output = ();

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<(), StoreError> {
        users.update(&self.user, now, |live| {
            if let Some(live) = live {
                live.value.remove(&self.family);
            }
        })
    }

    fn command(&self) -> Command {
        Command::new("HDEL").key(&self.user).arg(&self.family.0[..])
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}

/// Ends the families of a device. One EVALSHA.
#[derive(Debug)]
pub(crate) struct RevokeDevice {
    pub(crate) user: Key,
    pub(crate) device: Digest,
}

impl Operation for RevokeDevice {
    type Entry = Families;
    type Output = ();

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<(), StoreError> {
        users.update(&self.user, now, |live| {
            if let Some(live) = live {
                live.value
                    .0
                    .retain(|(_, family)| family.device != self.device);
            }
        })
    }

    fn command(&self) -> Command {
        Command::script(&REVOKE_DEVICE, &[&self.user]).arg(&self.device.0[..])
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}

/// Ends all families of a user. `UNLINK`.
#[derive(Debug)]
pub(crate) struct RevokeUser(pub(crate) Key);

impl Operation for RevokeUser {
    type Entry = Families;
    type Output = ();

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<(), StoreError> {
        users.update(&self.0, now, |live| *live = None)
    }

    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
