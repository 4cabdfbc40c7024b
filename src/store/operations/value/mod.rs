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

#[cfg(feature = "redis")]
pub(crate) use fill::{ANNOUNCE, FILL};
pub(crate) use fill::{Abandon, Announce, Announced, Fill};
pub(crate) use lease::Token;
pub(crate) use read::{Exists, Get};
#[cfg(feature = "redis")]
pub(crate) use write::{DEL, SET};
pub(crate) use write::{Del, Set};

use crate::store::{Key, namespace::Namespace};

/// The key of an application's value. It is bounded, whatever the size of the id.
pub(crate) fn key(names: &Namespace, prefix: &str, id: impl Display) -> Key {
    names.value(prefix, &id::Id::new(id))
}

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl Place {
    pub(crate) fn new(names: &Namespace, value: Key) -> Self {
        let lease = names.lease(&value);
        Self { value, lease }
    }
}
