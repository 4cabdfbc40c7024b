//! The heads of the messages that the engine judges.

use http::{HeaderMap, Method, StatusCode, Uri};

/// What the engine reads of a request: borrowed, nothing is kept.
///
/// `uri` is the effective request URI; when it has no authority the `Host` field is its authority.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    pub(crate) fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            uri,
            headers,
        }
    }
}

/// What the engine reads of a response of the inner service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// When the request was sent (RFC 9111 §4.2.3 `request_time`), Unix milliseconds.
    pub(crate) request_time: u64,
    /// When the response head was received (`response_time`), Unix milliseconds.
    pub(crate) response_time: u64,
}
