//! The first token of a family.

use std::time::Duration;

use bytes::Bytes;

use super::family::{Digest, Families, Family, FamilyName, millis};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table, exact},
    redis::{Command, Reply, Script},
};

pub(crate) static ISSUE: Script = Script::new(include_str!("issue.lua"));

/// Begins a family. What has ended goes, and beyond `most` families those that were not used for
/// longest. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Issue {
    pub(crate) user: Key,
    /// Of a fresh random secret.
    pub(crate) family: FamilyName,
    pub(crate) secret: Digest,
    pub(crate) client: Digest,
    pub(crate) device: Digest,
    pub(crate) scope: Bytes,
    pub(crate) about: Bytes,
    /// How long the token lives.
    pub(crate) lifetime: Duration,
    /// How many families the user may have.
    pub(crate) most: usize,
}

impl Operation for Issue {
    type Entry = Families;
    type Output = ();

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<(), StoreError> {
        let lapse = now.saturating_add(self.lifetime);
        let now_ms = millis(now);
        let family = Family {
            ends: lapse.as_millis(),
            generation: 1,
            rotated: now_ms,
            created: now_ms,
            current: self.secret,
            previous: Digest([0; 16]),
            nonce: [0; 16],
            client: self.client,
            device: self.device,
            scope: exact(&self.scope),
            about: exact(&self.about),
        };
        users.update(&self.user, now, |live| {
            let live = live.get_or_insert_with(|| Live {
                value: Families::default(),
                expires_at: lapse,
            });
            live.expires_at = live.expires_at.max(lapse);
            let families = &mut live.value.0;
            families.retain(|(name, family)| *name != self.family && family.ends > now_ms);
            let used = |(_, family): &(FamilyName, Family)| match family.generation {
                Family::TOMBSTONE => 0,
                _ => family.rotated,
            };
            families.sort_by_key(used);
            let over = (families.len() + 1).saturating_sub(self.most);
            families.drain(..over);
            families.push((self.family, family));
        })
    }

    fn command(&self) -> Command {
        let digests = [self.secret.0, self.client.0, self.device.0].concat();
        Command::script(&ISSUE, &[&self.user])
            .arg(&self.family.0[..])
            .millis(self.lifetime)
            .arg(self.most)
            .arg(digests)
            .arg([&*self.scope, b"\n", &*self.about].concat())
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
