use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Request, headers};

const OWN: &str = "/dir/page?query=1";

fn after_response(method: &str, status: u16, lines: &[(&str, &str)]) -> Vec<String> {
    let request = Request::new(method, &[]);
    let status = StatusCode::from_u16(status).unwrap();
    let found = invalidated(&request.head(), status, &headers(lines));
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_non_error_response_to_an_unsafe_method_invalidates_its_uri() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
        for status in [200, 201, 204, 302, 303] {
            assert_eq!(
                after_response(method, status, &[]),
                [OWN],
                "{method} {status}"
            );
        }
    }
}

#[test]
fn errors_and_safe_methods_invalidate_nothing() {
    for status in [400, 404, 500, 503] {
        assert!(after_response("POST", status, &[("location", "/x")]).is_empty());
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"] {
        assert!(after_response(method, 200, &[("location", "/x")]).is_empty());
    }
}

#[test]
fn location_and_content_location_are_invalidated_too() {
    let lines = [("location", "/a"), ("content-location", "b?c=d")];
    assert_eq!(
        after_response("POST", 201, &lines),
        [OWN, "/a", "/dir/b?c=d"]
    );
    let same = [("location", OWN), ("content-location", "")];
    assert_eq!(after_response("POST", 201, &same), [OWN]);
}

#[test]
fn references_are_resolved_against_the_request() {
    for (reference, expected) in [
        ("/other", "/other"),
        ("other", "/dir/other"),
        ("./other", "/dir/other"),
        ("../other", "/other"),
        ("../../other", "/other"),
        ("a/../b/.", "/dir/b/"),
        ("..", "/"),
        ("/", "/"),
        ("?x=../y", "/dir/page?x=../y"),
        ("other#fragment", "/dir/other"),
        ("a/b:c", "/dir/a/b:c"),
        ("http://example.com/other?x", "/other?x"),
        ("HTTP://EXAMPLE.com:80/other", "/other"),
        ("http://example.com", "/"),
        ("//example.com/other", "/other"),
        ("//example.com?x", "/?x"),
    ] {
        let found = after_response("PUT", 200, &[("location", reference)]);
        assert_eq!(found, [OWN, expected], "{reference}");
    }
}

#[test]
fn another_origin_is_never_touched() {
    for reference in [
        "https://example.com/other",
        "http://example.com:8080/other",
        "http://example.org/other",
        "//example.org/other",
        "http://example.com@example.org/other",
        "ftp://example.com/other",
        "mailto:someone@example.com",
        "urn:x",
        "http://",
        "\u{7f}",
    ] {
        let lines: HeaderMap = [(header::LOCATION, reference)]
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name, http::HeaderValue::from_bytes(value.as_bytes()).ok()?))
            })
            .collect();
        let request = Request::new("PUT", &[]);
        let found = invalidated(&request.head(), StatusCode::OK, &lines);
        assert_eq!(found, [OWN], "{reference}");
    }
}

#[test]
fn the_host_field_is_the_authority_of_a_uri_without_one() {
    let lines = headers(&[("location", "https://example.com/other")]);
    for (host, expected) in [
        ("Example.com", 2),
        ("example.com:443", 2),
        ("example.com:80", 1),
        ("example.org", 1),
    ] {
        let request = Request {
            uri: Uri::from_static("/x"),
            ..Request::new("PUT", &[("host", host)])
        };
        let found = invalidated(&request.head(), StatusCode::OK, &lines);
        assert_eq!(found.len(), expected, "{host}");
    }
    let request = Request {
        uri: Uri::from_static("/x"),
        ..Request::new("PUT", &[])
    };
    assert_eq!(
        invalidated(&request.head(), StatusCode::OK, &lines).len(),
        1
    );
}

proptest! {
    #[test]
    fn any_reference_is_resolved_without_panic(reference in "[a-z:/?#.@%é \\[\\]]{0,24}") {
        if let Ok(value) = http::HeaderValue::from_bytes(reference.as_bytes()) {
            let lines = [(header::LOCATION, value)].into_iter().collect();
            let request = Request::new("PUT", &[]);
            for uri in invalidated(&request.head(), StatusCode::OK, &lines) {
                prop_assert!(uri.path().starts_with('/'));
                let segment = |segment| matches!(segment, "." | "..");
                prop_assert!(!uri.path().split('/').any(segment) || uri.as_str() == OWN);
            }
        }
    }
}
