//! What the rooms ask of the store. A folder for each kind of data has its operations, one file
//! an idea, the half for embedded memory and the half for Redis side by side, the Lua beside them.
//!
//! A kind of data is a folder and a line of [`kinds!`] below. The folder's `mod.rs` has
//! - `Entry`, what stands under a key on embedded memory, a type of its own,
//! - `NAMES`, what its keys begin with after the namespace,
//! - `SCRIPTS`, its Lua scripts.

pub(crate) mod generation;
#[cfg(feature = "key-value")]
mod id;
#[cfg(feature = "rate-limit")]
pub(crate) mod limit;
pub(crate) mod ping;
#[cfg(feature = "cache")]
pub(crate) mod response;
#[cfg(feature = "session")]
pub(crate) mod session;
#[cfg(feature = "session")]
pub(crate) mod session_index;
#[cfg(feature = "key-value")]
pub(crate) mod tag;
#[cfg(feature = "refresh-token")]
pub(crate) mod token;
#[cfg(feature = "key-value")]
pub(crate) mod value;

use super::{
    clock::Timestamp,
    memory::{Reclaim, Walk, walk},
    redis::Script,
};

const MIB: usize = 1 << 20;

/// The lease of the load that may store a value of the key-value service under `key`, in its slot. Who
/// removes a value takes it away first, in whichever build: then nothing that was loaded before
/// comes after.
#[cfg(any(feature = "key-value", feature = "inspect"))]
pub(crate) fn lease(names: &super::key::Namespace, key: &super::key::Key) -> super::key::Key {
    names.key("lease", &["{", key.as_str(), "}"])
}

/// Each kind of data: its feature, its folder, the names that its keys begin with, and its table
/// on embedded memory with the default budget. The lines of documentation are the budget's.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $feature:literal $kind:ident $names:tt => $table:ident: $budget:expr;
    )*) => {
        /// Bytes that embedded memory may hold, per kind of data, so that a flood of one kind
        /// does not push out another.
        ///
        /// They are real bytes: with the keys, the maps around them and the allocator's rounding. A single
        /// entry may take a quarter of its kind's; what would take more is an error to its writer. When a
        /// kind's bytes are used up, what is asked for least makes room, and keys that are seen
        /// once push out only each other.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MemoryLimits {
            $($(#[$doc])* pub $table: usize,)*
        }

        impl Default for MemoryLimits {
            fn default() -> Self {
                Self { $($table: $budget,)* }
            }
        }

        /// Embedded memory: a table for each kind of data.
        #[derive(Debug)]
        pub(crate) struct Memory {
            $(#[cfg(feature = $feature)] $table: $crate::store::memory::Table<$kind::Entry>,)*
        }

        impl Memory {
            pub(crate) fn within(limits: &MemoryLimits) -> Self {
                let MemoryLimits { $($table,)* } = *limits;
                $(#[cfg(not(feature = $feature))] let _ = $table;)*
                Self {
                    $(#[cfg(feature = $feature)] $table: $crate::store::memory::Table::with_budget($table),)*
                }
            }
        }

        impl Memory {
            /// Shows about `count` keys that have not expired to `f`, from `cursor` on, which is 0 at
            /// the beginning. The cursor of the next, 0 after the last.
            pub(crate) fn keys(&self, cursor: u64, count: usize, now: Timestamp, f: &mut dyn FnMut(&str)) -> u64 {
                let tables: &[&dyn Walk] = &[$(#[cfg(feature = $feature)] &self.$table,)*];
                walk(tables, cursor, count, now, f)
            }

            /// When a key ends; `None` without it.
            pub(crate) fn expiry(&self, key: &$crate::store::key::Key, now: Timestamp) -> Option<Timestamp> {
                let _ = (key, now);
                $(#[cfg(feature = $feature)] {
                    let expiry = self.$table.get(key, now, |live| live.expires_at);
                    if expiry.is_some() {
                        return expiry;
                    }
                })*
                None
            }

            /// Whether there was such a key.
            pub(crate) fn remove(&self, key: &$crate::store::key::Key, now: Timestamp) -> Result<bool, $crate::store::StoreError> {
                let _ = (key, now);
                $(#[cfg(feature = $feature)]
                if self.$table.update(key, now, |live| live.take().is_some())? {
                    return Ok(true);
                })*
                Ok(false)
            }

            /// The bytes that are held, and those that may be.
            pub(crate) fn bytes(&self) -> (u64, u64) {
                let tables: &[(usize, usize)] = &[$(#[cfg(feature = $feature)] self.$table.bytes(),)*];
                let sum = |(a, b): (u64, u64), table: &(usize, usize)| (a + table.0 as u64, b + table.1 as u64);
                tables.iter().fold((0, 0), sum)
            }

            /// A value of the key-value service as it is stored.
            pub(crate) fn value(&self, key: &$crate::store::key::Key, now: Timestamp) -> Option<bytes::Bytes> {
                #[cfg(feature = "key-value")]
                return self.values.get(key, now, |live| live.value.clone());
                #[cfg(not(feature = "key-value"))]
                {
                    let _ = (key, now);
                    None
                }
            }
        }

        impl Reclaim for Memory {
            fn reclaim(&self, now: Timestamp) {
                let _ = now;
                $(#[cfg(feature = $feature)] self.$table.reclaim(now);)*
            }
        }

        $(
            #[cfg(feature = $feature)]
            impl $crate::store::memory::Holds<$kind::Entry> for Memory {
                fn table(&self) -> &$crate::store::memory::Table<$kind::Entry> {
                    &self.$table
                }
            }
        )*

        /// Every script: a connection is ready when the server has them, so that a fresh or
        /// restarted server costs no request a NOSCRIPT round trip.
        pub(crate) static SCRIPTS: &[&[&Script]] = &[
            $(#[cfg(feature = $feature)] $kind::SCRIPTS,)*
        ];

        /// What keys of some kind of data begin with after the namespace, whether or not this
        /// build has the kind: its data may be there all the same.
        pub(crate) const RESERVED_NAMES: &[&[&str]] = &[$({
            #[cfg(feature = $feature)]
            { &$kind::NAMES }
            #[cfg(not(feature = $feature))]
            { &$names }
        },)*];

        #[cfg(test)]
        #[test]
        fn names_are_reserved_alike_with_and_without_the_feature() {
            $(#[cfg(feature = $feature)] assert_eq!($kind::NAMES, $names);)*
        }
    };
}

kinds! {
    /// States of rate limits. Default 32 MiB, about 100,000 of them.
    "rate-limit" limit ["rate_limit"] => rate_limits: 32 * MIB;
    /// Sessions. Default 64 MiB.
    "session" session ["session"] => sessions: 64 * MIB;
    /// Which sessions a user has. Default 32 MiB, about 80,000 sessions.
    "session" session_index ["session_index", "session_place"] => session_index: 32 * MIB;
    /// Stored HTTP responses with their bodies. Default 128 MiB.
    "cache" response ["cache", "cache_tag", "cache_purges"] => responses: 128 * MIB;
    /// Values of the key-value service. Default 64 MiB.
    "key-value" value ["lease"] => values: 64 * MIB;
    /// Stamps of tags. Default 8 MiB, about 40,000 of them.
    "key-value" tag ["tag"] => tags: 8 * MIB;
    /// Families of refresh tokens. Default 32 MiB, about 60,000 of them.
    "refresh-token" token ["refresh_token"] => refresh_tokens: 32 * MIB;
}
