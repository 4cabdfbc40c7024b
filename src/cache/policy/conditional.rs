//! The client's own conditions (RFC 9110 §13, RFC 9111 §4.3.2).
use super::RequestHead;
use http::HeaderMap;
/// Whether the request's `If-None-Match`, or else `If-Modified-Since`, finds these response fields unchanged.
/// `received` (Unix ms) stands in for a missing `Date`.
pub(crate) fn not_modified(request: &RequestHead<'_>, response: &HeaderMap, received: u64) -> bool {
    todo!()
}
