use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{NOW, Request, after, at, headers, response, stored};
use crate::cache::policy::validity::{Validity, initial_age};

fn terms(status: u16, lines: &[(&str, &str)]) -> Terms {
    CachePolicy::default().terms(&response(status, &headers(lines)))
}

fn lifetime(lines: &[(&str, &str)]) -> Option<u32> {
    terms(200, lines).lifetime
}

fn age_at_arrival(lines: &[(&str, &str)]) -> u64 {
    initial_age(&response(200, &headers(lines))) / 1000
}

#[test]
fn the_first_source_of_a_lifetime_wins() {
    let (past, future) = (at(-7200), at(3600));
    for (lines, expected) in [
        (&[("cache-control", "max-age=3600")][..], Some(3600)),
        (
            &[("cache-control", "max-age=0"), ("expires", &future)],
            Some(0),
        ),
        (
            &[("cache-control", "max-age=3600"), ("expires", &past)],
            Some(3600),
        ),
        (
            &[("cache-control", "max-age=3600"), ("expires", "0")],
            Some(3600),
        ),
        (&[("cache-control", "max-age=3600, s-maxage=1")], Some(1)),
        (&[("cache-control", "s-maxage=1, max-age=3600")], Some(1)),
        (
            &[
                ("cache-control", "max-age=3600"),
                ("cache-control", "s-maxage=1"),
            ],
            Some(1),
        ),
        (
            &[
                ("cache-control", "max-age=0, s-maxage=3600"),
                ("expires", &past),
            ],
            Some(3600),
        ),
        (&[("expires", &future)], Some(3600)),
        (&[("etag", "\"a\"")], None),
        (&[], None),
    ] {
        assert_eq!(lifetime(lines), expected, "{lines:?}");
    }
}

#[test]
fn expires_counts_from_date() {
    for (expires, date, expected) in [
        (&*at(300), &*at(0), 300),
        (&at(0), &at(0), 0),
        (&at(-2_592_000), &at(0), 0),
        (&at(300), &at(400), 0),
        (&at(10), &at(-10), 20),
        (&at(20), &at(10), 10),
        (&at(10), "foo", 10),
        ("0", &at(0), 0),
        ("Sun, 21 Nov 9999 04:46:39 GMT", &at(0), DELTA_MAX),
    ] {
        let lines = [("expires", expires), ("date", date)];
        assert_eq!(lifetime(&lines), Some(expected), "{lines:?}");
    }
    assert_eq!(lifetime(&[("expires", &at(10))]), Some(10), "without Date");
}

#[test]
fn expires_lines_that_disagree_are_stale() {
    let (first, second) = (at(300), at(301));
    assert_eq!(
        lifetime(&[("expires", &first), ("expires", &second)]),
        Some(0)
    );
    assert_eq!(
        lifetime(&[("expires", &first), ("expires", &first)]),
        Some(300)
    );
}

#[test]
fn the_first_valid_targeted_field_replaces_cache_control_and_expires() {
    let (past, future) = (at(-10_000), at(10_000));
    for (lines, expected) in [
        (&[("cdn-cache-control", "max-age=3600")][..], Some(3600)),
        (
            &[("cdn-cache-control", "max-age=3600"), ("expires", &past)],
            Some(3600),
        ),
        (
            &[("cdn-cache-control", "max-age=0"), ("expires", &future)],
            Some(0),
        ),
        (
            &[("cdn-cache-control", "no-cache"), ("expires", &future)],
            None,
        ),
        (
            &[
                ("cdn-cache-control", "max-age=1"),
                ("cache-control", "max-age=9"),
            ],
            Some(1),
        ),
        (
            &[
                ("cdn-cache-control", "max-age=9"),
                ("cache-control", "no-store"),
            ],
            Some(9),
        ),
        (
            &[
                ("cdn-cache-control", "max-age = 9"),
                ("cache-control", "max-age=1"),
            ],
            Some(1),
        ),
        (
            &[
                ("cdn-cache-control", "max-age=\"9\""),
                ("cache-control", "max-age=1"),
            ],
            None,
        ),
    ] {
        assert_eq!(lifetime(lines), expected, "{lines:?}");
    }
    let own = HeaderName::from_static("own-cache-control");
    let cdn = HeaderName::from_static("cdn-cache-control");
    let policy = CachePolicy::default().with_targeted_fields([own, cdn]);
    let lines = headers(&[
        ("cdn-cache-control", "max-age=1"),
        ("own-cache-control", "max-age=2"),
    ]);
    assert_eq!(policy.terms(&response(200, &lines)).lifetime, Some(2));
}

#[test]
fn a_tenth_of_the_time_since_the_last_modification_is_fresh() {
    let heuristic = |status, ago: i64| {
        terms(status, &[("last-modified", &at(-ago)), ("date", &at(0))]).lifetime
    };
    assert_eq!(heuristic(200, 24 * 3600), Some(8640));
    assert_eq!(heuristic(200, 1000 * 24 * 3600), Some(24 * 3600), "capped");
    assert_eq!(heuristic(200, 9), None);
    assert_eq!(heuristic(200, -100), None, "modified in the future");
    for status in [203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(heuristic(status, 3600), Some(360), "{status}");
    }
    for status in [201, 202, 302, 307, 403, 500, 502, 503, 504, 599] {
        assert_eq!(heuristic(status, 3600), None, "{status}");
    }
    let public = [("last-modified", &*at(-3600)), ("cache-control", "public")];
    let public = terms(599, &public);
    assert_eq!(public.lifetime, Some(360));
    assert!(public.heuristic);
}

#[test]
fn the_deployer_chooses_the_heuristic_share() {
    let modified = at(-1000);
    let lines = headers(&[("last-modified", &modified), ("date", &at(0))]);
    for (percent, max, expected) in [(0, 60, None), (5, 60, Some(50)), (255, 9999, Some(1000))] {
        let max = std::time::Duration::from_secs(max);
        let policy = CachePolicy::default().with_heuristic(percent, max);
        assert_eq!(policy.terms(&response(200, &lines)).lifetime, expected);
    }
}

#[test]
fn explicit_expiration_leaves_no_room_for_heuristics() {
    let modified = at(-86_400);
    for explicit in [("cache-control", "max-age=0"), ("expires", "0")] {
        let terms = terms(200, &[("last-modified", &modified), explicit]);
        assert_eq!((terms.lifetime, terms.heuristic), (Some(0), false));
    }
}

#[test]
fn age_is_the_first_member_and_ignored_if_invalid() {
    for (lines, expected) in [
        (&["7200"][..], 7200),
        (&["0"], 0),
        (&["2147483647"], 2_147_483_647),
        (&["2147483648"], 2_147_483_648),
        (&["2147483649"], 2_147_483_648),
        (&["7200, 0"], 7200),
        (&["0, 7200"], 0),
        (&["7200", "0"], 7200),
        (&["0", "7200"], 0),
        (&["3600", "3600"], 3600),
        (&["abc"], 0),
        (&["-7200"], 0),
        (&["7200.0"], 0),
        (&["7200;foo=bar"], 0),
        (&["\"7200\""], 0),
        (&[""], 0),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
        assert_eq!(age_at_arrival(&lines), expected, "{lines:?}");
    }
}

#[test]
fn the_initial_age_is_the_greater_of_age_and_the_time_since_date() {
    for (date, age, expected) in [
        (-10, "25", 25),
        (10, "15", 15),
        (-7200, "0", 7200),
        (10, "0", 0),
    ] {
        let date = at(date);
        assert_eq!(age_at_arrival(&[("date", &date), ("age", age)]), expected);
    }
    assert_eq!(age_at_arrival(&[("date", "foo")]), 0);
    assert_eq!(
        initial_age(&response(200, &headers(&[("date", &at(0))]))),
        0
    );
}

#[test]
fn the_delay_of_the_response_counts_as_age() {
    let lines = headers(&[("age", "5")]);
    let response = ResponseHead {
        request_time: NOW - 2000,
        ..response(200, &lines)
    };
    assert_eq!(initial_age(&response), 7000);
}

#[test]
fn age_and_ttl_move_with_the_clock() {
    let stored = stored(&[("cache-control", "max-age=60"), ("age", "30")]);
    assert_eq!((stored.age(NOW), stored.ttl(NOW)), (30, 30));
    assert_eq!((stored.age(after(3)), stored.ttl(after(3))), (33, 27));
    assert!(stored.validity.is_fresh(after(29)));
    assert!(!stored.validity.is_fresh(after(30)));
    assert_eq!((stored.age(after(40)), stored.ttl(after(40))), (70, -10));
    assert_eq!(stored.age(0), 30, "a clock that went back");
    assert_eq!(stored.age(u64::MAX), u64::from(DELTA_MAX));
}

proptest! {
    #[test]
    fn what_is_stale_never_becomes_fresh(lifetime: u32, age: u32, first: u64, second: u64) {
        let stored = stored(&[
            ("cache-control", &format!("max-age={lifetime}")),
            ("age", &age.to_string()),
            ("etag", "\"a\""),
        ]);
        let (earlier, later) = (first.min(second), first.max(second));
        prop_assert!(stored.validity.is_fresh(earlier) || !stored.validity.is_fresh(later));
        prop_assert!(stored.age(earlier) <= stored.age(later));
        prop_assert!(stored.ttl(earlier) >= stored.ttl(later));
        prop_assert_eq!(stored.validity.is_fresh(first), stored.ttl(first) > 0);
    }

    #[test]
    fn any_fields_have_terms(date: Vec<u8>, expires: Vec<u8>, modified: Vec<u8>, age: Vec<u8>, times: (u64, u64)) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("date", date), ("expires", expires), ("last-modified", modified), ("age", age)] {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                headers.insert(name, value);
            }
        }
        let response = ResponseHead { request_time: times.0, response_time: times.1, ..response(200, &headers) };
        let terms = CachePolicy::default().terms(&response);
        let validity = Validity::new(&terms, &response);
        let _ = validity.age(u64::MAX);
    }
}

#[test]
fn of_two_responses_the_one_with_the_later_date_is_newer_and_then_the_one_that_came_later() {
    let recency = |date: Option<i64>, received: u64| {
        let date = date.map(at);
        let mut lines = vec![("cache-control", "max-age=60")];
        lines.extend(date.as_deref().map(|date| ("date", date)));
        let lines = headers(&lines);
        let response = ResponseHead {
            request_time: received,
            response_time: received,
            ..response(200, &lines)
        };
        let stored = CachePolicy::default().storable(&Request::get(&[]).head(), &response, |_| {});
        stored.unwrap().recency()
    };
    let ascending = [
        recency(Some(-10), after(5)),
        recency(Some(-9), after(1)),
        recency(Some(0), after(2)),
        recency(Some(0), after(2) + 1),
        recency(None, after(3)),
        // A clock that is ahead says no more than the time of receipt.
        recency(Some(1_000_000), after(4)),
        recency(Some(5), after(5)),
    ];
    assert!(ascending.is_sorted(), "{ascending:?}");
    assert_eq!(recency(Some(0), after(2)), (NOW / 1000, after(2)));
    assert_eq!(recency(None, after(3)), (after(3) / 1000, after(3)));
}

/// A process stores, another one reuses, and the clock of the first is ahead or behind.
#[test]
fn clocks_that_differ_make_a_response_with_a_date_older_but_never_younger() {
    for skew in [-600_i64, -1, 0, 1, 600] {
        let of_storing = NOW.checked_add_signed(skew * 1000).unwrap();
        let lines = headers(&[("cache-control", "max-age=3600"), ("date", &at(0))]);
        let response = ResponseHead {
            request_time: of_storing,
            response_time: of_storing,
            ..response(200, &lines)
        };
        let stored = CachePolicy::default().storable(&Request::get(&[]).head(), &response, |_| {});
        let stored = stored.unwrap();
        for later in [0, 1, 30, 59, 60, 600] {
            assert!(stored.age(after(later)) >= later, "{skew} {later}");
        }
    }
}
