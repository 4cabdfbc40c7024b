use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{NOW, Request, after, at, headers, response, store, stored};

/// A 304, or a response to HEAD, that comes three seconds after the stored response.
fn newer(status: u16, headers: &HeaderMap) -> ResponseHead<'_> {
    ResponseHead {
        request_time: after(3),
        response_time: after(3),
        ..response(status, headers)
    }
}

fn freshen(stored: &StoredHead, lines: &[(&str, &str)]) -> Freshened {
    let lines = headers(lines);
    let request = Request::get(&[]);
    CachePolicy::default().freshen(&request.head(), stored, &newer(304, &lines), |_| {})
}

fn updated(stored: &StoredHead, lines: &[(&str, &str)]) -> StoredHead {
    match freshen(stored, lines) {
        Freshened::Updated(updated, _) => updated,
        other => panic!("not updated: {other:?}"),
    }
}

#[test]
fn a_304_replaces_adds_and_keeps_fields() {
    let date = at(3);
    let stored = stored(&[
        ("etag", "\"a\""),
        ("cache-control", "max-age=2"),
        ("date", &at(0)),
        ("age", "1"),
        ("replaced", "1"),
        ("replaced", "2"),
        ("kept", "1"),
    ]);
    let updated = updated(
        &stored,
        &[
            ("etag", "\"a\""),
            ("cache-control", "max-age=3600"),
            ("date", &date),
            ("replaced", "3"),
            ("replaced", "4"),
            ("added", "1"),
        ],
    );
    let expected = headers(&[
        ("etag", "\"a\""),
        ("cache-control", "max-age=3600"),
        ("date", &date),
        ("replaced", "3"),
        ("replaced", "4"),
        ("kept", "1"),
        ("added", "1"),
    ]);
    assert_eq!(*updated.headers, expected);
    assert_eq!(updated.status, 200);
    assert_eq!((updated.age(after(3)), updated.ttl(after(3))), (0, 3600));
    assert_eq!(updated.variant(), stored.variant());
}

#[test]
fn a_304_without_freshness_of_its_own_renews_the_stored_one() {
    let stored = stored(&[
        ("etag", "\"a\""),
        ("cache-control", "max-age=2"),
        ("age", "1"),
    ]);
    assert_eq!(stored.ttl(after(3)), -2);
    let updated = updated(&stored, &[("etag", "\"a\"")]);
    assert_eq!(updated.ttl(after(3)), 2);
    assert_eq!(updated.headers["date"], &*at(3));
}

#[test]
fn a_304_leaves_the_fields_that_the_stored_content_depends_on() {
    let own = [
        ("content-length", "36"),
        ("content-encoding", "br"),
        ("content-range", "odd"),
        ("etag", "\"a\""),
    ];
    let updated = updated(
        &stored(&own),
        &[
            ("content-length", "10"),
            ("content-encoding", "gzip"),
            ("content-range", "other"),
            ("content-type", "text/plain;charset=utf-8"),
            ("content-location", "/bar"),
            ("connection", "listed"),
            ("listed", "1"),
            ("keep-alive", "x"),
            ("etag", "\"a\""),
        ],
    );
    for (name, value) in own {
        assert_eq!(updated.headers[name], value, "{name}");
    }
    for changed in ["content-type", "content-location"] {
        assert!(updated.headers.contains_key(changed), "{changed}");
    }
    for absent in ["connection", "listed", "keep-alive"] {
        assert!(!updated.headers.contains_key(absent), "{absent}");
    }
}

#[test]
fn a_304_about_another_representation_updates_nothing() {
    let found = freshen(&stored(&[("etag", "\"a\"")]), &[("etag", "\"b\"")]);
    assert!(matches!(found, Freshened::NotSelected));
}

#[test]
fn a_304_that_forbids_storing_is_used_once() {
    let stored = stored(&[("etag", "\"a\"")]);
    for (line, reason) in [
        ("no-store", NotStorable::NoStore),
        ("private", NotStorable::Private),
    ] {
        let found = freshen(&stored, &[("etag", "\"a\""), ("cache-control", line)]);
        let Freshened::Once(updated, _, found) = found else {
            panic!("{line}: {found:?}");
        };
        assert_eq!((found, updated.status), (reason, StatusCode::OK));
        assert!(!reason.is_about_request());
    }
    let found = freshen(&stored, &[("etag", "\"a\""), ("vary", "*")]);
    assert!(matches!(found, Freshened::Once(_, _, NotStorable::VaryAny)));
}

#[test]
fn a_304_to_authorization_does_not_update_what_all_share() {
    let request = Request::get(&[("authorization", "FOO")]);
    let lines = headers(&[("etag", "\"a\"")]);
    let stored = stored(&[("etag", "\"a\"")]);
    let found =
        CachePolicy::default().freshen(&request.head(), &stored, &newer(304, &lines), |_| {});
    assert!(matches!(found, Freshened::Once(_, _, reason) if reason.is_about_request()));
}

#[test]
fn a_new_vary_in_a_304_moves_the_response_to_a_new_variant() {
    let stored = stored(&[("etag", "\"a\"")]);
    let request = Request::get(&[("foo", "1")]);
    let lines = headers(&[("etag", "\"a\""), ("vary", "foo")]);
    let found =
        CachePolicy::default().freshen(&request.head(), &stored, &newer(304, &lines), |_| {});
    let Freshened::Updated(updated, _) = found else {
        panic!("{found:?}");
    };
    assert_ne!(updated.variant(), stored.variant());
    assert_eq!(updated.variant(), updated.vary().variant(&request.headers));
}

fn head_effect(stored: &StoredHead, status: u16, lines: &[(&str, &str)]) -> HeadEffect {
    let lines = headers(lines);
    let head = Request::new("HEAD", &[]);
    let policy = CachePolicy::default();
    policy.head_effect(&head.head(), stored, 36, &newer(status, &lines), |_| {})
}

#[test]
fn head_updates_a_response_that_it_describes() {
    let stored = stored(&[
        ("template-a", "1"),
        ("etag", "\"a\""),
        ("cache-control", "max-age=2"),
    ]);
    for lines in [
        &[("template-a", "2"), ("cache-control", "max-age=1000")][..],
        &[
            ("template-a", "2"),
            ("cache-control", "max-age=1000"),
            ("content-length", "36"),
        ],
        &[
            ("template-a", "2"),
            ("cache-control", "max-age=1000"),
            ("etag", "\"a\""),
        ],
    ] {
        let found = head_effect(&stored, 200, lines);
        let HeadEffect::Update(updated) = found else {
            panic!("{lines:?}: {found:?}");
        };
        assert_eq!(updated.headers["template-a"], "2");
        assert!(updated.validity.is_fresh(after(900)));
    }
}

#[test]
fn head_invalidates_a_response_that_has_changed() {
    let stored = stored(&[("etag", "\"a\""), ("content-encoding", "br")]);
    for changed in [
        ("etag", "\"b\""),
        ("etag", "W/\"a\""),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-length", "37"),
        ("content-encoding", "gzip"),
        ("cache-control", "no-store"),
    ] {
        let found = head_effect(&stored, 200, &[changed]);
        assert!(
            matches!(found, HeadEffect::Invalidate),
            "{changed:?}: {found:?}"
        );
    }
}

#[test]
fn head_of_another_status_or_variant_says_nothing() {
    let found = head_effect(&stored(&[("etag", "\"a\"")]), 410, &[("etag", "\"b\"")]);
    assert!(matches!(found, HeadEffect::Keep));
    let request = Request::get(&[("foo", "1")]);
    let lines = [("cache-control", "max-age=9"), ("vary", "foo")];
    let other = store(&request, 200, &lines).unwrap();
    let found = head_effect(&other, 200, &[("content-length", "1")]);
    assert!(matches!(found, HeadEffect::Keep));
}

proptest! {
    #[test]
    fn exempt_fields_stay_and_all_others_are_taken_over(
        lines in proptest::collection::vec(("[a-c]|content-(length|encoding|range|type)", "[0-9]{1,3}"), 0..8)
    ) {
        let own = [("content-length", "own"), ("content-encoding", "own"), ("content-range", "own"), ("a", "own"), ("d", "own")];
        let stored = headers(&own);
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let newer = headers(&lines);
        let stored = merged(&stored, &newer);
        for (name, _) in own {
            if EXEMPT.iter().any(|exempt| exempt == name) || !newer.contains_key(name) {
                prop_assert_eq!(&stored[name], "own");
            }
        }
        for name in newer.keys().filter(|name| !EXEMPT.contains(name)) {
            let (found, expected) = (stored.get_all(name), newer.get_all(name));
            prop_assert!(found.iter().eq(expected.iter()));
        }
        prop_assert_eq!(merged(&stored, &newer), stored);
    }

    #[test]
    fn a_304_never_makes_a_response_older(age in 0u32..100_000, lifetime in 0u32..100_000) {
        let stored = stored(&[
            ("etag", "\"a\""),
            ("age", &age.to_string()),
            ("cache-control", &format!("max-age={lifetime}")),
        ]);
        let updated = updated(&stored, &[("etag", "\"a\"")]);
        prop_assert!(updated.age(after(3)) <= stored.age(NOW));
    }
}
