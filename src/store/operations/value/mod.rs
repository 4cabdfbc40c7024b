//! The values of the key-value service: each a string with an expiry, and while it is being
//! loaded a lease beside it.
//!
//! A load is announced before the loader is called ([`Announce`]), which puts its token into the
//! lease, and what it found is stored only while that token stands there ([`Fill`]); a load that
//! finds nothing takes it back ([`Abandon`]). [`Set`], [`Del`] and a [`Fill`] take the whole
//! lease away, in one step with what they do to the value. A lapsed or evicted lease makes a
//! value that is not stored, never one that is out of date.

mod fill;
mod id;
mod lease;
mod read;
mod write;

use std::fmt::Display;

pub(crate) use fill::{Abandon, Announce, Announced, Fill};
pub(crate) use lease::Token;
pub(crate) use read::{Exists, Get};
pub(crate) use write::{Del, Set};

use crate::store::{
    key::{Key, Namespace},
    redis::Script,
};

/// A value in its envelope, or the tokens of a lease.
pub(crate) use bytes::Bytes as Entry;
pub(super) const NAMES: [&str; 1] = ["lease"];
pub(super) static SCRIPTS: &[&Script] = &[&fill::ANNOUNCE, &fill::FILL, &write::DEL, &write::SET];

/// `{namespace}:{prefix}:{id}`: an application's value, `user:42` for example. It is bounded,
/// whatever the size of the id. The id in it has no `:`, so that it is certain where the prefix
/// ends, and no braces, which would make a hash tag.
pub(crate) fn key(names: &Namespace, prefix: &str, id: impl Display) -> Key {
    names.key(prefix, &[&id::Id::new(id).to_string()])
}

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl Place {
    pub(crate) fn new(names: &Namespace, value: Key) -> Self {
        // In the slot of its value.
        let lease = names.key(NAMES[0], &["{", value.as_str(), "}"]);
        Self { value, lease }
    }
}
