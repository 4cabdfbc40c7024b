//! Whether a stored response answers a request (RFC 9111 §4).

use http::StatusCode;

use super::{Policy, RequestHead, StoredHead};

/// Why a request goes forward: the `fwd` values of RFC 9211 §2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forward {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    Miss,
    Request,
    Stale,
    Partial,
}

impl Forward {
    /// The token of `Cache-Status`.
    pub(crate) fn as_str(self) -> &'static str {
        todo!()
    }
}

/// Whether to look for a stored response at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// GET or HEAD that a stored response can answer.
    Lookup,
    /// Only the inner service may answer (method, `If-Match`, `If-Unmodified-Since`).
    Forward(Forward),
}

/// What to do with a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Send it: [`Policy::answer`].
    Fresh,
    /// Send it: it is stale within the client's `max-stale`.
    Stale,
    /// Send it and refresh it in the background (one refresh at a time).
    StaleWhileRevalidate,
    /// Forward with [`super::validation_request`]; on failure ask [`Policy::stale_on`].
    Validate(Forward),
    /// A fresh part of the representation is stored and the whole is wanted: forward with
    /// [`super::completion_request`], then [`Policy::combine`].
    Complete,
    /// It does not answer this request: forward as if nothing were stored.
    Forward(Forward),
    /// `only-if-cached` and nothing to send: 504.
    GatewayTimeout,
}

/// How the inner service failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It answered with this status.
    Status(StatusCode),
    /// It gave no answer (error, timeout).
    Disconnected,
}

impl Policy {
    /// Whether a stored response may answer this request at all.
    pub(crate) fn admit(&self, request: &RequestHead<'_>) -> Admission {
        todo!()
    }
    /// With nothing stored: whether the client wants 504 rather than a forwarded request.
    pub(crate) fn only_if_cached(&self, request: &RequestHead<'_>) -> bool {
        todo!()
    }
    /// Whether and how `stored` answers `request` at `now`. It also checks that `stored` is the
    /// variant that the request selects.
    pub(crate) fn reuse(&self, request: &RequestHead<'_>, stored: &StoredHead, now: u64) -> Reuse {
        todo!()
    }
    /// Whether the stale `stored` may be sent in place of the failure. False for a status that is
    /// no failure (anything but 500, 502, 503, 504).
    pub(crate) fn stale_on(
        &self,
        failure: Failure,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        now: u64,
    ) -> bool {
        todo!()
    }
    /// How long from `now` the stored response can still be of use: fresh, then stale or to be validated.
    pub(crate) fn retention(&self, stored: &StoredHead, now: u64) -> std::time::Duration {
        todo!()
    }
}
