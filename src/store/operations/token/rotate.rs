//! A token for its successor.

use std::time::Duration;

use bytes::Bytes;

use super::family::{Digest, Families, Family, FamilyName, millis};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply, Script},
};

pub(crate) static ROTATE: Script = Script::new(include_str!("rotate.lua"));

/// Exchanges a token for its successor. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Rotate {
    pub(crate) user: Key,
    pub(crate) family: FamilyName,
    /// The presented token's number, and the digest of its secret.
    pub(crate) generation: u32,
    pub(crate) secret: Digest,
    /// Random, of this call alone; and the digest of the successor that comes of it.
    pub(crate) nonce: [u8; 16],
    pub(crate) successor: Digest,
    pub(crate) client: Digest,
    /// The scope that is asked for, each token of it between spaces.
    pub(crate) scope: Vec<String>,
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    pub(crate) grace: Duration,
}

/// What a presented token was.
#[derive(Debug)]
pub(crate) enum Rotation {
    /// Good. What to derive its successor with, and how long that lives.
    Rotated {
        nonce: [u8; 16],
        lifetime: Duration,
        scope: Bytes,
        about: Bytes,
    },
    /// Used before: its family has ended.
    Reused { scope: Bytes, about: Bytes },
    /// Of no family that lives, or not the secret of its number.
    Unknown,
    /// Another client's. It stays as it was.
    OtherClient,
    /// Granted less than is asked for. It stays as it was.
    WiderScope,
}

impl Rotate {
    /// What becomes of the family; `None` for one that has come to its end.
    fn rotate(&self, family: &mut Family, now: u64) -> Option<Rotation> {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let lapse = family.created.saturating_add(ms(self.absolute));
        if family.ends <= now || lapse <= now {
            return None;
        }
        let reused = |family: &Family| Rotation::Reused {
            scope: family.scope.clone(),
            about: family.about.clone(),
        };
        if family.generation == Family::TOMBSTONE {
            let again = family.nonce == self.nonce;
            return Some(if again {
                reused(family)
            } else {
                Rotation::Unknown
            });
        }
        let is_newest = self.generation == family.generation;
        let is_before = self.generation == family.generation - 1;
        let again =
            family.nonce == self.nonce || now.saturating_sub(family.rotated) < ms(self.grace);
        let is_good = is_newest || is_before && again;
        if is_newest && self.secret != family.current
            || is_before && self.secret != family.previous
            || self.generation > family.generation
        {
            return Some(Rotation::Unknown);
        }
        if !is_good {
            family.generation = Family::TOMBSTONE;
            family.nonce = self.nonce;
            return Some(reused(family));
        }
        if self.client != family.client {
            return Some(Rotation::OtherClient);
        }
        let granted = |token: &String| {
            let mut places = family.scope.windows(token.len());
            places.any(|place| place == token.as_bytes())
        };
        if !self.scope.iter().all(granted) {
            return Some(Rotation::WiderScope);
        }
        if is_newest {
            family.ends = now.saturating_add(ms(self.idle)).min(lapse);
            family.generation += 1;
            family.rotated = now;
            family.previous = family.current;
            family.current = self.successor;
            family.nonce = self.nonce;
        }
        Some(Rotation::Rotated {
            nonce: family.nonce,
            lifetime: Duration::from_millis(family.ends - now),
            scope: family.scope.clone(),
            about: family.about.clone(),
        })
    }
}

impl Operation for Rotate {
    type Entry = Families;
    type Output = Rotation;

    fn run(&self, users: &Table<Families>, now: Timestamp) -> Result<Rotation, StoreError> {
        users.update(&self.user, now, |live| {
            let Some(live) = live else {
                return Rotation::Unknown;
            };
            let Some(family) = live.value.find(&self.family) else {
                return Rotation::Unknown;
            };
            let Some(rotation) = self.rotate(family, millis(now)) else {
                live.value.remove(&self.family);
                return Rotation::Unknown;
            };
            if let Rotation::Rotated { lifetime, .. } = &rotation {
                live.expires_at = live.expires_at.max(now.saturating_add(*lifetime));
            }
            rotation
        })
    }

    fn command(&self) -> Command {
        let command = Command::script(&ROTATE, &[&self.user])
            .arg(&self.family.0[..])
            .arg(self.generation)
            .arg(&self.secret.0[..])
            .arg(&self.nonce[..])
            .arg(&self.successor.0[..])
            .arg(&self.client.0[..])
            .millis(self.idle)
            .millis(self.absolute)
            .arg(self.grace.as_millis() as u64);
        self.scope
            .iter()
            .fold(command, |command, token| command.arg(token))
    }

    fn reply(&self, reply: Reply) -> Result<Rotation, StoreError> {
        let mut parts = match reply.integer_or_other() {
            Ok(0) => return Ok(Rotation::Unknown),
            Ok(-1) => return Ok(Rotation::OtherClient),
            Ok(-2) => return Ok(Rotation::WiderScope),
            Ok(_) => return Err(StoreError::UnexpectedReply("not a rotation")),
            Err(other) => other.array()?,
        };
        let tail = |tail: Bytes| {
            let line = tail.iter().position(|byte| *byte == b'\n');
            let line = line.ok_or(StoreError::UnexpectedReply("a family without a scope"))?;
            Ok((tail.slice(..line), tail.slice(line + 1..)))
        };
        let first = parts.next_reply()?.bytes()?;
        if parts.len() == 0 {
            let (scope, about) = tail(first)?;
            return Ok(Rotation::Reused { scope, about });
        }
        let nonce = (&*first).try_into();
        let nonce = nonce.map_err(|_| StoreError::UnexpectedReply("not a nonce"))?;
        let lifetime = Duration::from_millis(parts.next_unsigned()?);
        let (scope, about) = tail(parts.next_reply()?.bytes()?)?;
        Ok(Rotation::Rotated {
            nonce,
            lifetime,
            scope,
            about,
        })
    }
}
