//! A session on embedded memory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    bounds::{Fields, Size},
    pointer::Pointer,
    rules::Lifetime,
};
use crate::store::{
    clock::Timestamp,
    memory::{Weigh, heap},
};

/// What stands under the hash of an id.
#[derive(Debug)]
pub(crate) enum SessionState {
    Live(Record),
    /// The id was renewed, or leads to the session of another login at the same time.
    Moved(Pointer),
}

/// A session and its metadata.
#[derive(Debug)]
pub(crate) struct Record {
    /// Names the session across renewals of its id.
    pub(super) lineage: Arc<str>,
    /// Who is logged in.
    pub(super) user: Option<Arc<str>>,
    /// Or when its user has logged in.
    pub(super) created: Timestamp,
    /// When it got its current id.
    pub(super) issued: Timestamp,
    pub(super) touched: Timestamp,
    /// `None` by its layer's rules.
    pub(super) lifetime: Option<Lifetime>,
    /// The hash of the id before, as long as the current one was never presented.
    pub(super) previous: Option<Box<str>>,
    pub(super) size: Size,
    pub(super) fields: Fields,
}

impl Record {
    /// Bytes on the heap of a record with so much data.
    pub(super) fn weight_of(size: Size) -> usize {
        /// A node of the map, which has room for eleven fields.
        const NODE: usize = heap(11 * size_of::<(Box<str>, Bytes)>() + 16);
        /// What the allocations of a name, a value and the count of its owners take beside their
        /// bytes.
        const FIELD: usize = 2 * 24 + heap(24);
        /// The map and the lineage, each with the counts of its owners.
        const RECORD: usize = heap(16 + size_of::<BTreeMap<Box<str>, Bytes>>()) + heap(16 + 22);
        let nodes = match size.keys {
            0 => 0,
            1..=11 => 1,
            // At least five fields in each, and an inner node for every six.
            keys => keys.div_ceil(4),
        };
        size.bytes + size.keys * FIELD + nodes * NODE + RECORD
    }
}

impl Weigh for SessionState {
    fn weight(&self) -> usize {
        match self {
            Self::Live(record) => {
                let user = record.user.as_ref().map_or(0, |user| user.len());
                let previous = record.previous.as_ref().map_or(0, |hash| hash.len());
                Record::weight_of(record.size) + heap(user) + heap(previous)
            }
            Self::Moved(pointer) => heap(pointer.id_hash.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_field_takes_a_whole_node_of_the_map_and_many_share_theirs() {
        let weight = |keys| Record::weight_of(Size { bytes: 0, keys });
        let node = 11 * (16 + 32);
        assert!(weight(0) < node);
        assert!(weight(1) > weight(0) + node);
        assert!(weight(11) < weight(1) + node + 10 * 50);
        assert!((100 * node / 6..100 * node / 3).contains(&(weight(100) - 100 * 80)));
    }
}
