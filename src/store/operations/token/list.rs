//! The families of a user.

use super::family::{Digest, Families, Family, FamilyName, millis};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply, Script},
};

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
    type Entry = Families;
    type Output = Listed;

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<Listed, StoreError> {
        let all = users.get(&self.0, now, |live| live.value.0.clone());
        let now = millis(now);
        let mut families = all.unwrap_or_default();
        families.retain(|(_, family)| family.lives(now));
        Ok(Listed { families, now })
    }

    fn command(&self) -> Command {
        Command::script(&LIST, &[&self.0])
    }

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
