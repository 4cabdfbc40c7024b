//! Stored parts made whole (RFC 9111 §3.3, §3.4).
use super::{Policy, RequestHead, ResponseHead, StoredHead, Terms};
use http::HeaderMap;
use std::ops::Range;
/// A stored part and a new one as one stored response.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    pub(crate) head: StoredHead,
    /// The body, in order.
    pub(crate) body: Vec<Piece>,
}
/// Bytes of one of the two bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Stored(Range<u64>),
    New(Range<u64>),
}
/// Makes `headers` ask for what the stored part lacks (`Range`, `If-Range`). False, and nothing changed, when one range cannot complete it.
pub(crate) fn completion_request(
    stored: &StoredHead,
    length: u64,
    headers: &mut HeaderMap,
) -> bool {
    todo!()
}
impl Policy {
    /// Combines the stored part (`length` bytes) with the 206 `response` (`new_length` bytes). `None`: they may not be combined, so fetch the whole.
    pub(crate) fn combine(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        response: &ResponseHead<'_>,
        new_length: u64,
        adjust: impl FnOnce(&mut Terms),
    ) -> Option<Combined> {
        todo!()
    }
}
