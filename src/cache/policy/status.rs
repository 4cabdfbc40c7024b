//! What the engine knows about status codes.

use http::StatusCode;

/// Heuristically cacheable (RFC 9110 §15.1): a freshness lifetime may be guessed for them.
pub(super) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Understood in the sense of RFC 9111 §3: the engine meets the caching requirements of the code.
/// These are the registered final codes.
pub(super) fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=208
            | 226
            | 300..=305
            | 307..=308
            | 400..=417
            | 421..=426
            | 428..=429
            | 431
            | 451
            | 500..=508
            | 511
    )
}

/// Codes whose meaning is bound to the one request: an expectation, condition or range of it
/// failed, or (304) the content is in the client's own cache. Another request for the same URI
/// has nothing of them.
pub(super) fn is_bound_to_request(status: StatusCode) -> bool {
    matches!(status.as_u16(), 304 | 412 | 416 | 417 | 421 | 425)
}

/// The failures in whose place `stale-if-error` allows a stale response (RFC 5861 §4).
pub(super) fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
