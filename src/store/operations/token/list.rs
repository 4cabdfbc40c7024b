//! The families of a user.

#[cfg(feature = "redis")]
use super::family::Digest;
use super::family::{Family, FamilyName, millis};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{
    clock::Timestamp, error::StoreError, memory::Memory, namespace::Key, operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static LIST: Script = Script::new(include_str!("list.lua"));

/// The families of a user that live, in no order. One EVALSHA.
#[derive(Debug)]
pub(crate) struct List(pub(crate) Key);

/// Families, and the server's time in milliseconds.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) families: Vec<(FamilyName, Family)>,
    pub(crate) now: u64,
}

impl Operation for List {
    type Output = Listed;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Listed, StoreError> {
        let all = memory
            .refresh_tokens
            .get(&self.0, now, |live| live.value.0.clone());
        let now = millis(now);
        let mut families = all.unwrap_or_default();
        families.retain(|(_, family)| family.lives(now));
        Ok(Listed { families, now })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&LIST, &[&self.0])
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Listed, StoreError> {
        let mut parts = reply.array()?;
        let now = parts.next_unsigned()?;
        let mut stored = parts.next_reply()?.array()?;
        let mut families = Vec::with_capacity(stored.len() / 2);
        while stored.len() > 0 {
            let name = stored.next_reply()?.bytes()?;
            let family = stored.next_reply()?.bytes()?;
            if let (Ok(name), Some(family)) = ((&*name).try_into(), Family::decode(&family))
                && family.lives(now)
            {
                families.push((Digest(name), family));
            }
        }
        Ok(Listed { families, now })
    }
}
