//! The response made from a stored one.

use super::{Policy, RequestHead, StoredHead};
use http::{HeaderMap, StatusCode};
use std::ops::Range;

/// The head to send and which bytes of the stored body go with it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// Which part of the stored body to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// None: HEAD, 304, 416.
    Empty,
    /// All of it.
    Whole,
    /// These bytes of the stored body, counted from its first stored byte.
    Slice(Range<u64>),
}

impl Policy {
    /// The answer to `request` from `stored`, whose stored body has `length` bytes: the client's
    /// own conditions (304), its range (206, 416), HEAD, `Age`.
    pub(crate) fn answer(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        now: u64,
    ) -> Answer {
        todo!()
    }
}
