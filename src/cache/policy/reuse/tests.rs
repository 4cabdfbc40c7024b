use super::*;
use crate::cache::policy::RequestDirective;
use crate::cache::policy::testing::{NOW, Request, after, at, headers, response, store, stored};

const ERRORS: [u16; 4] = [500, 502, 503, 504];

fn reuse(request: &[(&str, &str)], stored: &StoredHead, seconds: u64) -> Reuse {
    let request = Request::get(request);
    CachePolicy::default().reuse(&request.head(), stored, 10, after(seconds))
}

fn with(cache_control: &str) -> StoredHead {
    stored(&[("cache-control", cache_control), ("etag", "\"a\"")])
}

#[test]
fn fresh_is_reused_and_stale_is_validated() {
    for (cache_control, seconds, expected) in [
        ("max-age=3600", 3, Reuse::Fresh),
        ("max-age=2", 3, Reuse::Validate(Forward::Stale)),
        ("max-age=2147483649", 3, Reuse::Fresh),
        (
            "max-age=3600, s-maxage=1",
            3,
            Reuse::Validate(Forward::Stale),
        ),
        ("max-age=1, s-maxage=3600", 3, Reuse::Fresh),
        ("max-age=10000, must-revalidate", 3, Reuse::Fresh),
        (
            "max-age=2, must-revalidate",
            3,
            Reuse::Validate(Forward::Stale),
        ),
        ("no-cache", 0, Reuse::Validate(Forward::Stale)),
        (
            "max-age=10000, No-CaChE",
            0,
            Reuse::Validate(Forward::Stale),
        ),
        ("no-cache=\"a\", max-age=3600", 0, Reuse::Fresh),
    ] {
        let found = reuse(&[], &with(cache_control), seconds);
        assert_eq!(found, expected, "{cache_control}");
    }
}

#[test]
fn a_response_that_is_old_on_arrival_is_validated() {
    let date = at(-7200);
    for old in [("age", "7200"), ("date", &*date)] {
        let stored = stored(&[("cache-control", "max-age=3600"), ("etag", "\"a\""), old]);
        assert_eq!(reuse(&[], &stored, 0), Reuse::Validate(Forward::Stale));
    }
}

#[test]
fn request_directives_restrict_and_widen_reuse() {
    let rejected = Reuse::Validate(Forward::Request);
    for (request, response, seconds, expected) in [
        ("max-age=0", "max-age=100000", 3, rejected),
        ("max-age=1", "max-age=100000", 3, rejected),
        ("max-age=3", "max-age=100000", 3, Reuse::Fresh),
        ("max-age=0", "max-age=100000, immutable", 3, Reuse::Fresh),
        ("no-cache", "max-age=100000, immutable", 3, rejected),
        ("min-fresh=2000", "max-age=1500", 0, rejected),
        ("min-fresh=500", "max-age=1500", 1000, Reuse::Fresh),
        ("min-fresh=501", "max-age=1500", 1000, rejected),
        ("no-cache", "max-age=3600", 0, rejected),
        ("no-store", "max-age=3600", 0, Reuse::Fresh),
        ("max-stale=1000", "max-age=2", 3, Reuse::Stale),
        ("max-stale", "max-age=2", 9_999_999, Reuse::Stale),
        (
            "max-stale=1",
            "max-age=2",
            4,
            Reuse::Validate(Forward::Stale),
        ),
        (
            "max-stale, max-age=3",
            "max-age=2",
            4,
            Reuse::Validate(Forward::Stale),
        ),
        (
            "max-stale",
            "max-age=2, must-revalidate",
            3,
            Reuse::Validate(Forward::Stale),
        ),
        ("only-if-cached", "max-age=2", 1, Reuse::Fresh),
        ("only-if-cached", "max-age=2", 3, Reuse::GatewayTimeout),
    ] {
        let found = reuse(&[("cache-control", request)], &with(response), seconds);
        assert_eq!(found, expected, "{request} on {response}");
    }
    let aged = stored(&[("cache-control", "max-age=9000"), ("age", "1800")]);
    assert_eq!(
        reuse(&[("cache-control", "max-age=600")], &aged, 3),
        rejected
    );
}

#[test]
fn request_directives_that_are_not_honoured_do_nothing() {
    let policy = CachePolicy::default().with_request_directives([RequestDirective::MaxAge]);
    for (directive, expected) in [
        ("no-cache", Reuse::Fresh),
        ("min-fresh=9999", Reuse::Fresh),
        ("max-age=0", Reuse::Validate(Forward::Request)),
    ] {
        let request = Request::get(&[("cache-control", directive)]);
        let found = policy.reuse(&request.head(), &with("max-age=60"), 10, after(1));
        assert_eq!(found, expected, "{directive}");
    }
    let request = Request::get(&[("cache-control", "only-if-cached")]);
    assert!(CachePolicy::default().only_if_cached(&request.head()));
    assert!(!policy.only_if_cached(&request.head()));
}

#[test]
fn pragma_is_ignored_beside_cache_control_and_in_responses() {
    assert_eq!(
        reuse(&[("pragma", "no-cache")], &with("max-age=60"), 3),
        Reuse::Fresh
    );
    let stored = stored(&[("cache-control", "max-age=60"), ("pragma", "no-cache")]);
    assert_eq!(reuse(&[], &stored, 3), Reuse::Fresh);
}

#[test]
fn stale_while_revalidate_lasts_for_its_window() {
    for (cache_control, seconds, expected) in [
        ("max-age=1, stale-while-revalidate=4", 0, Reuse::Fresh),
        (
            "max-age=1, stale-while-revalidate=4",
            3,
            Reuse::StaleWhileRevalidate,
        ),
        (
            "max-age=1, stale-while-revalidate=4",
            5,
            Reuse::StaleWhileRevalidate,
        ),
        (
            "max-age=1, stale-while-revalidate=4",
            6,
            Reuse::Validate(Forward::Stale),
        ),
        (
            "max-age=1, stale-while-revalidate=4, must-revalidate",
            3,
            Reuse::Validate(Forward::Stale),
        ),
        (
            "s-maxage=1, stale-while-revalidate=4",
            3,
            Reuse::Validate(Forward::Stale),
        ),
        (
            "no-cache, stale-while-revalidate=4",
            3,
            Reuse::Validate(Forward::Stale),
        ),
    ] {
        let found = reuse(&[], &with(cache_control), seconds);
        assert_eq!(found, expected, "{cache_control} after {seconds}");
    }
    let asked = [("cache-control", "no-cache")];
    let stored = with("max-age=1, stale-while-revalidate=4");
    assert_eq!(reuse(&asked, &stored, 3), Reuse::Validate(Forward::Stale));
}

#[test]
fn the_configured_window_stands_in_for_stale_while_revalidate() {
    let policy = CachePolicy::default().with_stale_while_revalidate(Duration::from_secs(4));
    let reuse = |cache_control| {
        let request = Request::get(&[]);
        policy.reuse(&request.head(), &with(cache_control), 10, after(3))
    };
    assert_eq!(reuse("max-age=1"), Reuse::StaleWhileRevalidate);
    assert_eq!(
        reuse("max-age=1, stale-while-revalidate=0"),
        Reuse::Validate(Forward::Stale)
    );
    assert_eq!(
        reuse("max-age=1, must-revalidate"),
        Reuse::Validate(Forward::Stale)
    );
    assert_eq!(
        reuse("public"),
        Reuse::Validate(Forward::Stale),
        "no lifetime at all"
    );
}

#[test]
fn stale_while_revalidate_beside_s_maxage_counts_if_the_deployer_says_so() {
    let policy = CachePolicy::default().with_stale_beside_s_maxage(true);
    let reuse = |cache_control| {
        let lines = headers(&[("cache-control", cache_control), ("etag", "\"a\"")]);
        let request = Request::get(&[("authorization", "FOO")]);
        let stored = policy.storable(&request.head(), &response(200, &lines), |_| {});
        policy.reuse(&request.head(), &stored.unwrap(), 10, after(3))
    };
    let both = "max-age=9, s-maxage=1, stale-while-revalidate=4";
    assert_eq!(reuse(both), Reuse::StaleWhileRevalidate);
    let forbidden = Reuse::Validate(Forward::Stale);
    assert_eq!(reuse("s-maxage=1"), forbidden);
    assert_eq!(
        reuse("s-maxage=1, stale-while-revalidate=4, must-revalidate"),
        forbidden
    );
}

fn stale_on(policy: &CachePolicy, failure: Failure, request: &str, cache_control: &str) -> bool {
    let request = Request::get(&[("cache-control", request)]);
    policy.stale_on(failure, &request.head(), &with(cache_control), after(32))
}

#[test]
fn a_stale_response_stands_in_for_a_disconnected_origin_unless_forbidden() {
    let policy = CachePolicy::default();
    for (request, response, expected) in [
        ("", "max-age=2", true),
        ("", "max-age=2, stale-if-error=60", true),
        ("", "max-age=2, stale-if-error=30", true),
        ("", "max-age=2, stale-if-error=29", false),
        ("stale-if-error=60", "max-age=2, stale-if-error=29", true),
        ("", "max-age=2, must-revalidate", false),
        ("", "max-age=2, proxy-revalidate", false),
        ("", "max-age=2, no-cache", false),
        ("", "max-age=2, s-maxage=2", false),
        ("no-cache", "max-age=2", false),
        (
            "stale-if-error=60",
            "max-age=2, must-revalidate, stale-if-error=60",
            false,
        ),
    ] {
        let found = stale_on(&policy, Failure::Disconnected, request, response);
        assert_eq!(found, expected, "{request} on {response}");
    }
    let never = policy.with_stale_if_disconnected(Duration::ZERO);
    assert!(!stale_on(&never, Failure::Disconnected, "", "max-age=2"));
    assert!(stale_on(
        &never,
        Failure::Disconnected,
        "",
        "max-age=2, stale-if-error=60"
    ));
}

#[test]
fn a_stale_response_stands_in_for_an_error_only_if_permitted() {
    let policy = CachePolicy::default();
    let lenient = policy.clone().with_stale_if_error(Duration::from_secs(60));
    for status in ERRORS {
        let failure = Failure::Status(StatusCode::from_u16(status).unwrap());
        assert!(!stale_on(&policy, failure, "", "max-age=2"));
        assert!(stale_on(
            &policy,
            failure,
            "",
            "max-age=2, stale-if-error=60"
        ));
        assert!(stale_on(&policy, failure, "stale-if-error=60", "max-age=2"));
        assert!(stale_on(&lenient, failure, "", "max-age=2"));
        assert!(!stale_on(
            &lenient,
            failure,
            "",
            "max-age=2, stale-if-error=0"
        ));
        assert!(!stale_on(
            &lenient,
            failure,
            "",
            "max-age=2, must-revalidate"
        ));
    }
    for status in [200, 404, 410, 501] {
        let failure = Failure::Status(StatusCode::from_u16(status).unwrap());
        assert!(!stale_on(
            &lenient,
            failure,
            "",
            "max-age=2, stale-if-error=60"
        ));
    }
}

#[test]
fn only_get_and_head_look_for_a_stored_response() {
    let policy = CachePolicy::default();
    let admit = |method, lines: &[(&str, &str)]| policy.admit(&Request::new(method, lines).head());
    assert_eq!(admit("GET", &[]), Admission::Lookup);
    assert_eq!(admit("HEAD", &[("range", "bytes=0-1")]), Admission::Lookup);
    for method in ["POST", "PUT", "OPTIONS", "M-SEARCH"] {
        assert_eq!(admit(method, &[]), Admission::Forward(Forward::Method));
    }
    for condition in ["if-match", "if-unmodified-since"] {
        let found = admit("GET", &[(condition, "\"a\"")]);
        assert_eq!(found, Admission::Forward(Forward::Bypass));
    }
}

#[test]
fn another_variant_is_not_reused() {
    let request = Request::get(&[("foo", "1"), ("other", "2")]);
    let lines = [("cache-control", "max-age=5000"), ("vary", "Foo, Bar")];
    let stored = store(&request, 200, &lines).unwrap();
    assert_eq!(
        reuse(&[("foo", " 1 "), ("other", "3")], &stored, 0),
        Reuse::Fresh
    );
    for other in [&[("foo", "2")][..], &[("foo", "1"), ("bar", "")], &[]] {
        assert_eq!(reuse(other, &stored, 0), Reuse::Forward(Forward::VaryMiss));
    }
}

fn partial(range: &str, cache_control: &str) -> StoredHead {
    let lines = [
        ("cache-control", cache_control),
        ("content-range", range),
        ("etag", "\"a\""),
    ];
    store(&Request::get(&[]), 206, &lines).unwrap()
}

fn reuse_part(request: &[(&str, &str)], stored: &StoredHead, length: u64, seconds: u64) -> Reuse {
    let request = Request::get(request);
    CachePolicy::default().reuse(&request.head(), stored, length, after(seconds))
}

#[test]
fn a_part_answers_the_ranges_in_it() {
    let stored = partial("bytes 4-8/10", "max-age=60");
    for (range, expected) in [
        ("bytes=4-8", Reuse::Fresh),
        ("bytes=5-6", Reuse::Fresh),
        ("bytes=10-", Reuse::Fresh),
        ("bytes=3-5", Reuse::Forward(Forward::Partial)),
        ("bytes=5-9", Reuse::Forward(Forward::Partial)),
        ("bytes=5-", Reuse::Forward(Forward::Partial)),
        ("bytes=-1", Reuse::Forward(Forward::Partial)),
        ("bytes=4-5,7-8", Reuse::Forward(Forward::Partial)),
    ] {
        assert_eq!(
            reuse_part(&[("range", range)], &stored, 5, 0),
            expected,
            "{range}"
        );
    }
    assert_eq!(
        reuse_part(&[("if-none-match", "\"a\"")], &stored, 5, 0),
        Reuse::Fresh
    );
    let range = [("range", "bytes=5-6")];
    assert_eq!(
        reuse_part(&range, &stored, 5, 61),
        Reuse::Validate(Forward::Stale)
    );
    let head = Request::new("HEAD", &[]);
    let found = CachePolicy::default().reuse(&head.head(), &stored, 5, NOW);
    assert_eq!(found, Reuse::Forward(Forward::Partial));
}

#[test]
fn a_fresh_part_with_one_gap_is_completed() {
    let head = partial("bytes 0-4/10", "max-age=60");
    assert_eq!(reuse_part(&[], &head, 5, 0), Reuse::Complete);
    assert_eq!(
        reuse_part(&[], &head, 5, 61),
        Reuse::Forward(Forward::Partial)
    );
    assert_eq!(
        reuse_part(&[], &partial("bytes 5-9/10", "max-age=60"), 5, 0),
        Reuse::Complete
    );
    let middle = partial("bytes 4-8/10", "max-age=60");
    assert_eq!(
        reuse_part(&[], &middle, 5, 0),
        Reuse::Forward(Forward::Partial)
    );
    let asked = [("cache-control", "only-if-cached")];
    assert_eq!(reuse_part(&asked, &head, 5, 0), Reuse::GatewayTimeout);
}

#[test]
fn retention_covers_freshness_and_what_may_follow() {
    let policy = CachePolicy::default();
    for (cache_control, etag, expected) in [
        ("max-age=60", false, 60 + 600),
        ("max-age=60, must-revalidate", false, 60),
        ("max-age=60, must-revalidate", true, 60 + 600),
        ("max-age=60, stale-if-error=5", false, 60 + 5),
        ("max-age=60, stale-while-revalidate=5000", false, 60 + 5000),
        ("no-cache", true, 600),
    ] {
        let mut lines = vec![("cache-control", cache_control)];
        lines.extend(etag.then_some(("etag", "\"a\"")));
        let kept = policy.retention(&stored(&lines), NOW);
        assert_eq!(kept, Duration::from_secs(expected), "{cache_control}");
    }
    let stored = stored(&[("cache-control", "max-age=60, must-revalidate")]);
    assert_eq!(
        policy.retention(&stored, after(20)),
        Duration::from_secs(40)
    );
    assert_eq!(policy.retention(&stored, after(90)), Duration::ZERO);
}
