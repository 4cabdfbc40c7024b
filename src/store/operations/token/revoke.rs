//! The end of families. Each is idempotent.

use super::family::{Digest, FamilyName};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    clock::Timestamp, error::StoreError, memory::Memory, namespace::Key, operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static REVOKE_DEVICE: Script = Script::new(include_str!("revoke_device.lua"));

/// Ends a family. `HDEL`.
#[derive(Debug)]
pub(crate) struct RevokeFamily {
    pub(crate) user: Key,
    pub(crate) family: FamilyName,
}

impl Operation for RevokeFamily {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        memory.refresh_tokens.update(&self.user, now, |live| {
            if let Some(live) = live {
                live.value.remove(&self.family);
            }
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("HDEL").key(&self.user).arg(&self.family.0[..])
    }

    #[cfg(feature = "redis")]
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
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        memory.refresh_tokens.update(&self.user, now, |live| {
            if let Some(live) = live {
                live.value
                    .0
                    .retain(|(_, family)| family.device != self.device);
            }
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&REVOKE_DEVICE, &[&self.user]).arg(&self.device.0[..])
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}

/// Ends all families of a user. `UNLINK`.
#[derive(Debug)]
pub(crate) struct RevokeUser(pub(crate) Key);

impl Operation for RevokeUser {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        (memory.refresh_tokens).update(&self.0, now, |live| *live = None)
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
