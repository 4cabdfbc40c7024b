//! The values of the key-value service: each a string with an expiry, and while it is being
//! loaded a lease beside it.
//!
//! A load is announced before the loader is called ([`TakeLease`]), which puts its token into the
//! lease, and what it found is stored only while that token stands there ([`Fill`]); a load that
//! finds nothing takes it back ([`ReleaseLease`]). [`Set`], [`Del`] and a [`Fill`] take the whole
//! lease away, in one step with what they do to the value. A lapsed or evicted lease makes a
//! value that is not stored, never one that is out of date.

mod load;
mod read;
mod tokens;
mod write;

use std::fmt::Display;

pub(crate) use load::{Fill, ReleaseLease, TakeLease, Taken};
pub(crate) use read::{Exists, Get};
pub(crate) use tokens::Token;
pub(crate) use write::{Del, Set};

use super::id::Id;
use crate::store::{
    key::{Key, Namespace},
    redis::Script,
};

/// A value in its envelope, or the tokens of a lease.
pub(crate) use bytes::Bytes as Entry;
pub(super) const NAMES: [&str; 1] = ["lease"];
pub(super) static SCRIPTS: &[&Script] = &[&load::TAKE_LEASE, &load::FILL, &write::DEL, &write::SET];

/// `{namespace}:{prefix}:{id}`: an application's value, `user:42` for example. It is bounded,
/// whatever the size of the id. The id in it has no `:`, so that it is certain where the prefix
/// ends, and no braces, which would make a hash tag.
pub(crate) fn key(names: &Namespace, prefix: &str, id: impl Display) -> Key {
    names.key(prefix, &[&Id::new(id).to_string()])
}

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct ValueKeys {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl ValueKeys {
    pub(crate) fn new(names: &Namespace, value: Key) -> Self {
        // In the slot of its value.
        let lease = names.key(NAMES[0], &["{", value.as_str(), "}"]);
        Self { value, lease }
    }
}
