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

#[cfg(feature = "redis")]
pub(crate) use load::{FILL, TAKE_LEASE};
pub(crate) use load::{Fill, ReleaseLease, TakeLease, Taken};
pub(crate) use read::{Exists, Get};
pub(crate) use tokens::Token;
#[cfg(feature = "redis")]
pub(crate) use write::{DEL, SET};
pub(crate) use write::{Del, Set};

use super::id::Id;
use crate::store::{Key, namespace::Namespace};

/// The key of an application's value. It is bounded, whatever the size of the id.
pub(crate) fn key(names: &Namespace, prefix: &str, id: impl Display) -> Key {
    names.value(prefix, &Id::new(id))
}

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct ValueKeys {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl ValueKeys {
    pub(crate) fn new(names: &Namespace, value: Key) -> Self {
        let lease = names.lease(&value);
        Self { value, lease }
    }
}
