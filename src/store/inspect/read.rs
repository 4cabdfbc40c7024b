//! Looking at one key.

use std::time::Duration;

use bytes::Bytes;

use super::next;
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    operations::Memory,
    redis::{Command, Commands, NextReply, Reply},
};

/// How a key's data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// There is no such key.
    None,
    String,
    Hash,
    Set,
    SortedSet,
    /// One that the crate does not write; on embedded memory, anything but a value.
    Other(Box<str>),
}

/// `TYPE`.
#[derive(Debug)]
pub(crate) struct ReadType(pub(crate) Key);

impl Batch<Memory> for ReadType {
    type Output = Result<Type, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        Ok(
            match (memory.value(&self.0, now), memory.expiry(&self.0, now)) {
                (Some(_), _) => Type::String,
                (None, Some(_)) => Type::Other("in embedded memory".into()),
                (None, None) => Type::None,
            },
        )
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("TYPE").key(&self.0));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let name = next(replies)?.text()?;
        Ok(match &*name {
            "none" => Type::None,
            "string" => Type::String,
            "hash" => Type::Hash,
            "set" => Type::Set,
            "zset" => Type::SortedSet,
            _ => Type::Other(name),
        })
    }
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or nothing of that type.
    Nothing,
    Text(Bytes),
    /// Of a hash, and of a sorted set, whose values are scores.
    Fields(Vec<(Bytes, Bytes)>),
    Members(Vec<Bytes>),
}

/// The beginning of the data of a key of this type, so that a large one holds neither the server up
/// nor memory. `GETRANGE`, `HSCAN`, `SSCAN` or `ZRANGE`.
#[derive(Debug)]
pub(crate) struct ReadValue {
    pub(crate) key: Key,
    pub(crate) kind: Type,
    /// The most bytes of a string.
    pub(crate) bytes: usize,
    /// About how many parts of anything else.
    pub(crate) parts: usize,
}

impl Batch<Memory> for ReadValue {
    type Output = Result<Found, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        let value = memory.value(&self.key, now);
        Ok(value.map_or(Found::Nothing, |value| {
            Found::Text(value.slice(..value.len().min(self.bytes)))
        }))
    }

    fn commands(&self, out: &mut Commands) {
        let Self {
            key, bytes, parts, ..
        } = self;
        let page = |scan: Command| scan.key(key).arg(0).arg("COUNT").arg(*parts);
        out.push(match &self.kind {
            Type::String => Command::new("GETRANGE").key(key).arg(0).arg(bytes - 1),
            Type::Hash => page(Command::new("HSCAN")),
            Type::Set => page(Command::new("SSCAN")),
            Type::SortedSet => {
                let range = Command::new("ZRANGE").key(key).arg(0).arg(parts - 1);
                range.arg("WITHSCORES")
            }
            Type::None | Type::Other(_) => return,
        });
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        match &self.kind {
            Type::String => Ok(Found::Text(next(replies)?.bytes()?)),
            Type::Hash | Type::SortedSet => {
                let reply = next(replies)?;
                let mut parts = match self.kind {
                    Type::Hash => first_page(reply)?.array()?,
                    _ => reply.hash()?,
                };
                let mut fields = Vec::new();
                while let Some(field) = parts.next() {
                    fields.push((field.bytes()?, parts.next_reply()?.bytes()?));
                }
                Ok(Found::Fields(fields))
            }
            Type::Set => {
                let members = first_page(next(replies)?)?.array()?;
                let members = members.map(|member| member.bytes());
                Ok(Found::Members(members.collect::<Result<_, _>>()?))
            }
            Type::None | Type::Other(_) => Ok(Found::Nothing),
        }
    }
}

/// What a scan has found; what comes before it is where to go on.
fn first_page(reply: Reply) -> Result<Reply, StoreError> {
    let mut page = reply.array()?;
    page.next_reply()?;
    page.next_reply()
}

/// How long a key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    NoKey,
    Eternal,
    For(Duration),
}

/// `PTTL`.
#[derive(Debug)]
pub(crate) struct ReadLife(pub(crate) Key);

impl Batch<Memory> for ReadLife {
    type Output = Result<Life, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        let expiry = memory.expiry(&self.0, now);
        Ok(match expiry {
            None => Life::NoKey,
            // As the key-value service writes without a TTL.
            Some(at) if at.as_micros() == u64::MAX => Life::Eternal,
            Some(at) => Life::For(at.saturating_since(now)),
        })
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("PTTL").key(&self.0));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        Ok(match next(replies)?.integer()? {
            -2 => Life::NoKey,
            millis => match u64::try_from(millis) {
                Ok(millis) => Life::For(Duration::from_millis(millis)),
                Err(_) => Life::Eternal,
            },
        })
    }
}

/// The bytes that a key takes, as Redis estimates them; `None` without the key, and on embedded
/// memory. `MEMORY USAGE`.
#[derive(Debug)]
pub(crate) struct ReadWeight(pub(crate) Key);

impl Batch<Memory> for ReadWeight {
    type Output = Result<Option<u64>, StoreError>;

    fn run(&self, _: &Memory, _: Timestamp) -> Self::Output {
        Ok(None)
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("MEMORY").arg("USAGE").key(&self.0));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        // Nil without the key.
        let bytes = next(replies)?.integer_or_other();
        Ok(bytes.ok().and_then(|bytes| u64::try_from(bytes).ok()))
    }
}
