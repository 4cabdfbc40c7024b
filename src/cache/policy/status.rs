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

/// Codes of responses that are never stored, because they are of no use to another request for the
/// same URI: an expectation, condition or range of this request failed, it came too early, too
/// slowly, to the wrong server or without credentials, or (304) the content is in the client's own
/// cache. RFC 6585 forbids to store 428, 429, 431 and 511.
pub(super) fn is_bound_to_request(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        304 | 401 | 407 | 408 | 412 | 416 | 417 | 421 | 425 | 426 | 428 | 429 | 431 | 511
    )
}

/// Whether a response with this code says what the target resource is now, so that it can show
/// that what is stored of it is out of date.
///
/// 2xx do, the lasting redirections (300, 301, 308), and of the client errors those that deny the
/// resource to everybody (404, 410, 451). The other 4xx say that "the client seems to have erred"
/// (RFC 9110 §15.5): another client, with other fields, may be served as before. The temporary
/// redirections (302, 303, 307) often depend on the client too (a login, a language), and what is
/// stored stays valid beside them. 5xx are failures of the server, not states of the resource.
pub(crate) fn is_about_target(status: StatusCode) -> bool {
    status.is_success() || matches!(status.as_u16(), 300 | 301 | 308 | 404 | 410 | 451)
}

/// The failures in whose place `stale-if-error` allows a stale response (RFC 5861 §4).
pub(super) fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(holds: fn(StatusCode) -> bool) -> Vec<u16> {
        (100..1000)
            .filter(|code| holds(StatusCode::from_u16(*code).unwrap()))
            .collect()
    }

    #[test]
    fn what_says_what_the_target_is_now() {
        let mut expected: Vec<u16> = (200..300).collect();
        expected.extend([300, 301, 308, 404, 410, 451]);
        assert_eq!(codes(is_about_target), expected);
    }

    #[test]
    fn what_is_bound_to_its_request_says_nothing_about_the_target() {
        let both = codes(|status| is_bound_to_request(status) && is_about_target(status));
        assert!(both.is_empty(), "{both:?}");
        // RFC 6585: "MUST NOT be stored by a cache".
        for code in [428, 429, 431, 511] {
            assert!(is_bound_to_request(StatusCode::from_u16(code).unwrap()));
        }
    }
}
