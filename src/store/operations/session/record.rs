//! A session on embedded memory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{bounds::Size, pointer::Pointer};
use crate::store::{clock::Timestamp, memory::Weigh};

/// The data of a session: each value as its serialized bytes. Loads share them.
pub(crate) type Fields = Arc<BTreeMap<Box<str>, Bytes>>;

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
    pub(super) created: Timestamp,
    /// When it got its current id.
    pub(super) issued: Timestamp,
    pub(super) touched: Timestamp,
    /// The hash of the id before, as long as the current one was never presented.
    pub(super) previous: Option<Box<str>>,
    pub(super) size: Size,
    pub(super) fields: Fields,
}

impl Record {
    /// Bytes on the heap of a record with so much data.
    pub(super) fn weight_of(size: Size) -> usize {
        /// A node's share and the two pointers, per field.
        const FIELD: usize = 64;
        size.bytes + size.keys * FIELD + size_of::<Self>()
    }
}

impl Weigh for SessionState {
    fn weight(&self) -> usize {
        match self {
            Self::Live(record) => {
                let user = record.user.as_ref().map_or(0, |user| user.len());
                let previous = record.previous.as_ref().map_or(0, |hash| hash.len());
                Record::weight_of(record.size) + user + previous
            }
            Self::Moved(pointer) => pointer.id_hash.len(),
        }
    }
}
