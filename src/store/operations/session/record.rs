//! A session on embedded memory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::store::{
    clock::Timestamp,
    memory::{Weigh, heap},
};

/// The data of a session: each value as its serialized bytes. Loads share them.
pub(crate) type Fields = Arc<BTreeMap<Box<str>, Bytes>>;

/// What stands under the hash of an id.
#[derive(Debug)]
pub(crate) enum SessionState {
    Live(Record),
    /// The id was renewed: the hash of the new one.
    Moved(Box<str>),
}

/// A session and its metadata.
#[derive(Debug)]
pub(crate) struct Record {
    /// Names the session across renewals of its id.
    pub(super) lineage: Arc<str>,
    pub(super) created: Timestamp,
    /// When it got its current id.
    pub(super) issued: Timestamp,
    pub(super) touched: Timestamp,
    pub(super) fields: Fields,
}

impl Weigh for SessionState {
    fn weight(&self) -> usize {
        match self {
            Self::Live(record) => {
                /// The counts of an `Arc`.
                const ARC: usize = 16;
                /// A node of the tree has room for eleven fields and is at least half full.
                const NODE: usize = heap(11 * size_of::<(Box<str>, Bytes)>() + 112);
                let fields = &record.fields;
                let nodes = fields.len().div_ceil(5);
                let data = fields
                    .iter()
                    .map(|(name, value)| heap(name.len()) + value.weight());
                heap(ARC + size_of::<BTreeMap<Box<str>, Bytes>>())
                    + heap(ARC + record.lineage.len())
                    + nodes * NODE
                    + data.sum::<usize>()
            }
            Self::Moved(id_hash) => heap(id_hash.len()),
        }
    }
}
