//! The values of the key-value service: each a string with an expiry, and while it is being
//! loaded a lease beside it.
//!
//! A load is announced before the loader is called ([`Announce`]), which puts a generation into
//! the lease, and what it found is stored only while that generation stands there ([`Fill`]).
//! [`Set`] and [`Del`] take the lease away, in one step with what they do to the value. A lapsed
//! or evicted lease makes a value that is not stored, never one that is out of date.

mod fill;
mod read;
mod write;

#[cfg(feature = "redis")]
pub(crate) use fill::{ANNOUNCE, FILL};
pub(crate) use fill::{Announce, Announced, Fill};
pub(crate) use read::{Exists, Get};
#[cfg(feature = "redis")]
pub(crate) use write::{DEL, SET};
pub(crate) use write::{Del, Set};

use crate::store::{Key, namespace::Namespace};

/// The keys of a value and of its lease, which share a hash slot.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) value: Key,
    pub(crate) lease: Key,
}

impl Place {
    pub(crate) fn new(names: &Namespace, name: &str) -> Self {
        let value = names.value(name);
        let lease = names.lease(&value);
        Self { value, lease }
    }
}
