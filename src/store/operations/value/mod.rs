//! The values of the key-value service: each a string with an expiry, and while it is being
//! loaded a lease beside it.
//!
//! The lease is the token of the one load, over all processes, that may store what it finds. It is
//! taken before the loader is called ([`TakeLease`]), renewed while that runs ([`RenewLease`]), and
//! ends when the value is stored ([`Fill`]) or the load has found nothing to store
//! ([`ReleaseLease`]). A [`Set`] and a [`Del`] take it away in one step with what they do to the
//! value, and then the load stores nothing: the token is its fence. A lease that expires or is
//! evicted makes a value that is not stored, never one that is out of date.

mod lease;
mod load;
mod read;
mod write;

use std::fmt::Display;

pub(crate) use lease::{ReleaseLease, RenewLease, Token};
pub(crate) use load::{Fill, TakeLease, Taken};
pub use read::Expiry;
pub(crate) use read::{Exists, Get, GetMany, ReadExpiry};
pub(crate) use write::{Del, Expire, Set};

use super::id::Id;
use crate::store::{
    clock::Timestamp,
    key::{Key, Namespace},
    redis::Script,
};

/// A value as it is stored, or the token of a lease.
pub(crate) use bytes::Bytes as Entry;
pub(super) const NAMES: [&str; 1] = ["lease"];
pub(super) static SCRIPTS: &[&Script] = &[
    &lease::RELEASE_LEASE,
    &lease::RENEW_LEASE,
    &load::FILL,
    &load::TAKE_LEASE,
    &write::DEL,
    &write::SET,
];

/// `{namespace}:{prefix}:{id}`: an application's value, `user:42` for example. It is bounded,
/// whatever the size of the id. The id in it has no `:`, so that it is certain where the prefix
/// ends, and no braces, which would make a hash tag.
pub(crate) fn key(names: &Namespace, prefix: &str, id: impl Display) -> Key {
    names.key(prefix, &[&Id::new(id).as_part()])
}

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct ValueKeys {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl ValueKeys {
    pub(crate) fn new(names: &Namespace, value: Key) -> Self {
        let lease = super::lease(names, &value);
        Self { value, lease }
    }
}

/// When what does not expire expires on embedded memory.
const NEVER: Timestamp = Timestamp::from_micros(u64::MAX);

/// How many of a value's first bytes tell it from the one that follows it.
const IDENTITY: usize = 64;

/// The beginning of a stored value, by which one that is to be replaced is told from another one
/// that was stored meanwhile.
pub(crate) fn identity(value: &[u8]) -> &[u8] {
    value.get(..IDENTITY).unwrap_or(value)
}
