//! A session on embedded memory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::store::{clock::Timestamp, memory::Weigh};

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
        /// A node's share and the two pointers, per field.
        const FIELD: usize = 64;
        match self {
            Self::Live(record) => {
                let fields = record.fields.iter();
                fields
                    .map(|(name, value)| FIELD + name.len() + value.len())
                    .sum::<usize>()
                    + size_of::<Record>()
            }
            Self::Moved(id_hash) => id_hash.len(),
        }
    }
}
