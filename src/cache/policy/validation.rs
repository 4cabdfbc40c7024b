//! Validation requests (RFC 9111 §4.3.1) and the responses that a 304 is about (§4.3.4).

use http::{HeaderMap, HeaderName, header};

use super::StoredHead;
use super::entity_tag::EntityTag;
use super::headers::single;

/// Replaces the client's own conditions by the stored validators. A response that is stored whole is
/// validated whole, without `Range`.
///
/// Returns false if there is no stored validator; the request is then not conditional.
pub(crate) fn validation_request(stored: &StoredHead, headers: &mut HeaderMap) -> bool {
    make_unconditional(headers);
    headers.remove(header::IF_RANGE);
    if stored.part.is_none() {
        headers.remove(header::RANGE);
    }
    let mut conditional = false;
    for (validator, condition) in [
        (header::ETAG, header::IF_NONE_MATCH),
        (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
    ] {
        if let Some(Some(value)) = single(&stored.headers, &validator) {
            headers.insert(condition, value.clone());
            conditional = true;
        }
    }
    conditional
}

/// Removes the client's own conditions, so that the answer has a body that can be stored and
/// shared. [`StoredHead::answer`], or [`super::not_modified`] for a response that is not stored,
/// applies them to the answer later.
pub(crate) fn make_unconditional(headers: &mut HeaderMap) {
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
}

/// Whether a 304 with these fields is about the stored response (§4.3.4).
///
/// A 304 without any validator is taken to be about the validators that were sent, which are those
/// of the one stored response.
pub(super) fn is_about(not_modified: &HeaderMap, stored: &StoredHead) -> bool {
    let stored_tag = EntityTag::of(&stored.headers);
    match (EntityTag::of(not_modified), stored_tag) {
        (Some(tag), Some(stored_tag)) if tag.is_weak() => tag.weak_eq(&stored_tag),
        (Some(tag), Some(stored_tag)) => tag.strong_eq(&stored_tag),
        (Some(tag), None) if !tag.is_weak() => false,
        _ => agrees(not_modified, &stored.headers, &header::LAST_MODIFIED),
    }
}

/// Whether the field is the same in both, if both have it.
pub(super) fn agrees(left: &HeaderMap, right: &HeaderMap, name: &HeaderName) -> bool {
    match (left.get(name), right.get(name)) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::policy::testing::{headers, stored};

    #[test]
    fn the_stored_validators_replace_the_conditions_of_the_client() {
        let jan = "Thu, 01 Jan 2026 00:00:00 GMT";
        let stored = stored(&[("etag", "W/\"a\""), ("last-modified", jan)]);
        let mut request = headers(&[
            ("if-none-match", "\"x\""),
            ("if-none-match", "\"y\""),
            ("if-modified-since", "Fri, 02 Jan 2026 00:00:00 GMT"),
            ("if-range", "\"x\""),
            ("range", "bytes=0-1"),
            ("abc", "123"),
        ]);
        assert!(validation_request(&stored, &mut request));
        let expected = headers(&[
            ("if-none-match", "W/\"a\""),
            ("if-modified-since", jan),
            ("abc", "123"),
        ]);
        assert_eq!(request, expected);
    }

    #[test]
    fn without_a_validator_the_request_is_a_plain_one() {
        let mut request = headers(&[("if-none-match", "\"x\""), ("abc", "123")]);
        let stored = stored(&[("cache-control", "max-age=1")]);
        assert!(!validation_request(&stored, &mut request));
        assert_eq!(request, headers(&[("abc", "123")]));
    }

    #[test]
    fn a_304_selects_by_the_first_kind_of_validator_it_has() {
        let jan = ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        let feb = ("last-modified", "Sun, 01 Feb 2026 00:00:00 GMT");
        let (strong, weak, other) = (("etag", "\"a\""), ("etag", "W/\"a\""), ("etag", "\"b\""));
        for (not_modified, of_stored, expected) in [
            (&[strong][..], &[strong][..], true),
            (&[other], &[strong], false),
            (&[strong], &[weak], false),
            (&[strong], &[jan], false),
            (&[weak], &[strong], true),
            (&[weak], &[weak], true),
            (&[strong, feb], &[strong, jan], true),
            (&[weak, jan], &[jan], true),
            (&[jan], &[jan], true),
            (&[feb], &[jan], false),
            (&[feb], &[strong, jan], false),
            (&[], &[strong], true),
            (&[], &[jan], true),
        ] {
            let found = is_about(&headers(not_modified), &stored(of_stored));
            assert_eq!(found, expected, "{not_modified:?} about {of_stored:?}");
        }
    }
}
