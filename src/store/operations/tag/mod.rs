//! Tags: names by which many entries, in any slot, are made invalid with one command.
//!
//! A tag has a *stamp*, which is random. An entry keeps the stamps that its tags had before it was
//! made, and is valid only while each of them still has the same. To invalidate a tag is to
//! delete its stamp ([`RemoveStamp`]); the next entry gets a new one ([`KeepStamp`]). So:
//!
//! - An entry that was being made when its tag was invalidated is not valid when it is stored.
//! - A stamp that expires, is evicted or is lost makes its entries invalid and never revives one.
//! - No clocks are compared, and to invalidate needs no memory: a full server does it too.
//!
//! Stamps are read in the same batch as the entry ([`ReadStamp`]). Each is a key of its own, so
//! that on a cluster the batch is split by shard like any other.

mod stamp;

pub(crate) use stamp::{KeepStamp, ReadStamp, RemoveStamp};

/// What a tag has from its first use until it is invalidated.
pub(crate) use super::generation::Generation as Stamp;
use super::id::Id;
use crate::store::{
    key::{Key, Namespace},
    redis::Script,
};

/// A stamp.
pub(crate) use Stamp as Entry;
pub(super) const NAMES: [&str; 1] = ["tag"];
pub(super) static SCRIPTS: &[&Script] = &[&stamp::KEEP_STAMP];

/// A tag's name in the form that it has in its key: at most 384 bytes, whatever the name's size.
/// An entry keeps it beside the stamp.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TagName(Box<str>);

impl TagName {
    pub(crate) fn new(tag: impl std::fmt::Display) -> Self {
        Self(Id::new(tag).to_string().into())
    }

    /// Reads a name that an entry has kept; `None` if it is not one that [`new`](Self::new) makes.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        let possible = name.len() <= Id::LONGEST_IN_KEY && !name.contains([':', '{', '}']);
        possible.then(|| Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `{namespace}:tag:{name}`
    pub(crate) fn key(&self, names: &Namespace) -> Key {
        names.key(NAMES[0], &[&self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_is_kept() {
        for tag in ["team:7", "", "{a}%", &"x".repeat(60_000)] {
            let name = TagName::new(tag);
            assert_eq!(TagName::stored(name.as_str()), Some(name));
        }
        for foreign in ["team:7", "{a}", &"x".repeat(385)] {
            assert_eq!(TagName::stored(foreign), None);
        }
    }
}
