//! Stamps: what a tag, and the purges as a whole, stand at.
//!
//! A response that was stored under a tag names the stamp that the tag had then, and counts only
//! while the tag still has it. A purge takes the stamp away, so it is one command however many
//! responses there are, and a stamp that was evicted makes misses.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{NAMES, set::ResponseSet};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::{Key, Namespace},
    memory::{Live, Table},
    redis::{Command, Reply, Script},
};

pub(crate) static STAMP: Script = Script::new(include_str!("stamp.lua"));
pub(crate) static SOFTEN: Script = Script::new(include_str!("soften.lua"));
pub(crate) static WITHDRAW: Script = Script::new(include_str!("withdraw.lua"));

/// `{namespace}:cache_tag:{{tag}}`: the stamp of a tag. `tag` is a digest.
pub(crate) fn tag(names: &Namespace, tag: &str) -> Key {
    names.key(NAMES[1], &["{", tag, "}"])
}

/// Whether a key is that of a tag.
pub(crate) fn is_tag(names: &Namespace, key: &Key) -> bool {
    let rest = key.as_str().strip_prefix(names.as_str());
    let name = rest.and_then(|rest| rest.strip_prefix(':')?.split(':').next());
    name == Some(NAMES[1])
}

/// `{namespace}:cache_purges:all`: the stamp of all purges by tag.
pub(crate) fn purges(names: &Namespace) -> Key {
    names.key(NAMES[2], &["all"])
}

/// What a tag stands at. A hard purge takes it away, a soft one changes its second half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Another one: what was stored under the tag must not be used.
    hard: [u8; 8],
    /// Another one: what was stored under the tag is stale.
    soft: [u8; 8],
}

/// What has become of a tag since a response was stored under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Since {
    Unchanged,
    PurgedSoftly,
    Purged,
}

impl Stamp {
    /// A new one: random bits.
    pub(crate) fn random() -> Self {
        Self {
            hard: random(),
            soft: random(),
        }
    }

    /// What has become of the tag that had this stamp and has that one `now`.
    pub(crate) fn since(self, now: Option<Self>) -> Since {
        match now {
            Some(now) if now == self => Since::Unchanged,
            Some(now) if now.hard == self.hard => Since::PurgedSoftly,
            _ => Since::Purged,
        }
    }

    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.hard);
        bytes[8..].copy_from_slice(&self.soft);
        bytes
    }

    /// `None` for what is no stamp: then its tag has none.
    fn parse(bytes: &Bytes) -> Option<Self> {
        let (hard, soft) = bytes.split_at_checked(8)?;
        Some(Self {
            hard: hard.try_into().ok()?,
            soft: soft.try_into().ok()?,
        })
    }
}

fn random() -> [u8; 8] {
    crate::store::random::unique().to_be_bytes()
}

/// Reads a stamp. `GET`.
#[derive(Debug)]
pub(crate) struct ReadStamp(pub(crate) Key);

impl ReadStamp {
    /// The stamp, where it can be read without waiting: on embedded memory.
    pub(crate) fn at_once(
        responses: &Table<ResponseSet>,
        key: &Key,
        now: Timestamp,
    ) -> Option<Stamp> {
        responses.get(key, now, |live| live.value.stamp)?
    }
}

impl Operation for ReadStamp {
    type Entry = ResponseSet;
    type Output = Option<Stamp>;

    fn run(
        &self,
        responses: &Table<ResponseSet>,
        now: Timestamp,
    ) -> Result<Option<Stamp>, StoreError> {
        Ok(Self::at_once(responses, &self.0, now))
    }

    fn command(&self) -> Command {
        Command::new("GET").key(&self.0).pass_over_other_types()
    }

    fn reply(&self, reply: Reply) -> Result<Option<Stamp>, StoreError> {
        let stamp = reply.optional_bytes()?;
        Ok(stamp.as_ref().and_then(Stamp::parse))
    }
}

/// Reads a stamp, which is `stamp` from now on if there is none, and lets it live for `ttl` at
/// least and twice that at most. One EVALSHA.
#[derive(Debug)]
pub(crate) struct EnsureStamp {
    pub(crate) key: Key,
    pub(crate) stamp: Stamp,
    pub(crate) ttl: Duration,
}

impl Operation for EnsureStamp {
    type Entry = ResponseSet;
    type Output = Option<Stamp>;

    fn run(
        &self,
        responses: &Table<ResponseSet>,
        now: Timestamp,
    ) -> Result<Option<Stamp>, StoreError> {
        let least = now.saturating_add(self.ttl);
        let end = least.saturating_add(self.ttl);
        responses.update(&self.key, now, |live| {
            let live = live.get_or_insert_with(|| Live {
                value: ResponseSet::default(),
                expires_at: end,
            });
            if live.expires_at < least {
                live.expires_at = end;
            }
            Some(*live.value.stamp.get_or_insert(self.stamp))
        })
    }

    fn command(&self) -> Command {
        Command::script(&STAMP, &[&self.key])
            .arg(&self.stamp.to_bytes()[..])
            .millis(self.ttl)
    }

    fn reply(&self, reply: Reply) -> Result<Option<Stamp>, StoreError> {
        reply.bytes().map(|bytes| Stamp::parse(&bytes))
    }
}

/// Makes what was stored under a tag stale. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Soften {
    pub(crate) key: Key,
    /// Its second half is the new one.
    pub(crate) stamp: Stamp,
}

impl Operation for Soften {
    type Entry = ResponseSet;
    type Output = ();

    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<(), StoreError> {
        responses.update(&self.key, now, |live| {
            if let Some(stamp) = live.as_mut().and_then(|live| live.value.stamp.as_mut()) {
                stamp.soft = self.stamp.soft;
            }
        })
    }

    fn command(&self) -> Command {
        Command::script(&SOFTEN, &[&self.key]).arg(&self.stamp.soft[..])
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}

/// Takes a stamp away if it is still the same: one that was made for nothing. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Withdraw {
    pub(crate) key: Key,
    pub(crate) stamp: Stamp,
}

impl Operation for Withdraw {
    type Entry = ResponseSet;
    type Output = ();

    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<(), StoreError> {
        responses.update(&self.key, now, |live| {
            live.take_if(|live| live.value.stamp == Some(self.stamp));
        })
    }

    fn command(&self) -> Command {
        Command::script(&WITHDRAW, &[&self.key]).arg(&self.stamp.to_bytes()[..])
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}
