//! Stored HTTP responses: all variants of a primary cache key under one key.
//!
//! On Redis a hash, whose fields `response.lua` lists; on embedded memory a [`ResponseSet`].
//!
//! A fill is announced before the inner service is called ([`Begin`]) and stored only while that
//! announcement's generation stands ([`Put`]). To invalidate is to delete the key
//! ([`Invalidate`]): all variants go in one command, and so does every fill under way. An
//! evicted or lapsed announcement makes a miss, never a revival.
//!
//! A stored variant has a version. What was made of a stored response (a head that a 304
//! freshened, a part made whole) replaces only the version that it was made of, so that no head
//! ever goes with another's body; a response of its own replaces only what is not newer.
//!
//! A response may have tags. Each tag has a key of its own, with a [`Stamp`] that the response names.
//!
//! The key lives as long as its last variant and the last lease of the fills under way.

mod fill;
mod lookup;
mod put;
mod set;
mod stamp;
#[cfg(test)]
mod tests;
mod version;

pub(crate) use super::generation::Generation;
pub(crate) use fill::{Abandon, Begin, Discard, Invalidate};
pub(crate) use lookup::{Lookup, Stored, StoredVariants};
pub(crate) use put::Put;
pub(crate) use set::ResponseSet as Entry;
pub(crate) use stamp::{
    EnsureStamp, ReadStamp, Since, Soften, Stamp, Withdraw, is_tag, purges, tag,
};
pub(crate) use version::{Replaces, Version};

use crate::store::{
    key::{Key, Namespace},
    redis::Script,
};

pub(super) const NAMES: [&str; 3] = ["cache", "cache_tag", "cache_purges"];
pub(super) static SCRIPTS: &[&Script] = &[
    &fill::BEGIN,
    &fill::ABANDON,
    &put::PUT,
    &stamp::STAMP,
    &stamp::SOFTEN,
    &stamp::WITHDRAW,
];

/// `{namespace}:cache:{{primary}}`: all that is stored under one primary cache key.
pub(crate) fn key(names: &Namespace, primary: &str) -> Key {
    names.key(NAMES[0], &["{", primary, "}"])
}

/// A script on a primary key's hash: the part that all of them share and its own.
macro_rules! response_script {
    ($name:literal) => {
        $crate::store::redis::Script::new(concat!(
            include_str!("response.lua"),
            include_str!(concat!($name, ".lua")),
        ))
    };
}
use response_script;
