//! The heads of the messages that the engine judges.

use std::fmt;

use http::{HeaderMap, Method, StatusCode, Uri};

use super::headers::FieldNames;

/// What the engine reads of a request: borrowed, nothing is kept.
///
/// `uri` is the effective request URI; when it has no authority the `Host` field is its authority.
#[derive(Clone, Copy)]
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
#[derive(Clone, Copy)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// When the request was sent (RFC 9111 §4.2.3 `request_time`), Unix milliseconds.
    pub(crate) request_time: u64,
    /// When the response head was received (`response_time`), Unix milliseconds.
    pub(crate) response_time: u64,
}

/// Without the URI and the values of fields: they may be secrets.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("headers", &FieldNames(self.headers))
            .finish_non_exhaustive()
    }
}

/// Without the values of fields: they may be secrets.
impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("headers", &FieldNames(self.headers))
            .finish_non_exhaustive()
    }
}
