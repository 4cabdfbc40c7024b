//! What an unsafe request invalidates (RFC 9111 §4.4).
use super::RequestHead;
use http::{HeaderMap, StatusCode, uri::PathAndQuery};
/// The URIs to invalidate, all of the request's own origin, the request's own first: none for safe methods and for errors.
pub(crate) fn invalidated(
    request: &RequestHead<'_>,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<PathAndQuery> {
    todo!()
}
