use super::*;
use crate::cache::policy::testing::{Request, headers, response, store};
use crate::cache::policy::{NotStorable, StoredHead};

const EXCHANGE: [&str; 12] = [
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit-second",
    "x-rate-limit-reset",
    "x-request-id",
    "x-b3-traceid",
    "traceparent",
    "server-timing",
    "cache-status",
    "retry-after",
    "authentication-info",
    "x-csrf-token",
];

fn fields(policy: &CachePolicy, lines: &[(&str, &str)]) -> (HeaderMap, HeaderMap) {
    let lines = headers(lines);
    let response = response(200, &lines);
    let Fields { shared, own } = policy.fields(&response, &policy.terms(&response));
    (shared.0, own.0)
}

#[test]
fn what_is_about_one_exchange_is_its_clients_alone() {
    for name in EXCHANGE {
        let (shared, own) = fields(
            &CachePolicy::default(),
            &[(name, "1"), (name, "2"), ("x", "3")],
        );
        assert!(!shared.contains_key(name), "{name}");
        assert_eq!(own, headers(&[(name, "1"), (name, "2")]));
        assert_eq!(shared["x"], "3");
    }
    for name in ["ratified", "request", "x-request", "rate", "etag", "link"] {
        assert!(
            fields(&CachePolicy::default(), &[(name, "1")]).1.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn cookies_are_shared_only_where_they_are_stored() {
    let lines = [("set-cookie", "a=1"), ("set-cookie", "b=2")];
    for (set_cookie, shares) in [
        (SetCookie::Refuse, false),
        (SetCookie::Strip, false),
        (SetCookie::Store, true),
    ] {
        let policy = CachePolicy::default().with_set_cookie(set_cookie);
        let (shared, own) = fields(&policy, &lines);
        let (with, without) = if shares { (shared, own) } else { (own, shared) };
        assert_eq!(with.get_all("set-cookie").iter().count(), 2);
        assert!(!without.contains_key("set-cookie"));
    }
}

#[test]
fn fields_of_the_connection_are_neither_shared_nor_handed_on() {
    let lines = [
        ("connection", "x-hop, x-request-id"),
        ("x-hop", "1"),
        ("x-request-id", "1"),
        ("keep-alive", "1"),
        ("trailer", "x"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ];
    let (shared, own) = fields(&CachePolicy::default(), &lines);
    assert_eq!(shared, headers(&lines[5..]));
    assert!(own.is_empty());
}

#[test]
fn withheld_fields_are_their_clients_alone() {
    let lines = [
        (
            "cache-control",
            "private=\"x-user\", no-cache=\"set-cookie\"",
        ),
        ("x-user", "a"),
    ];
    let (shared, own) = fields(&CachePolicy::default(), &lines);
    assert!(!shared.contains_key("x-user"));
    assert_eq!(own, headers(&lines[1..]));
}

#[test]
fn a_new_response_with_cookies_is_refused_unless_its_own_directives_withhold_them() {
    let (fresh, cookie) = (
        ("cache-control", "public, max-age=9"),
        ("set-cookie", "a=1"),
    );
    let get = Request::get(&[]);
    for (status, range) in [(200, "x"), (206, "bytes 0-1/2"), (404, "x")] {
        let lines = [fresh, cookie, ("content-range", range)];
        assert_eq!(store(&get, status, &lines), Err(NotStorable::SetCookie));
    }
    let withheld = [
        ("cache-control", "max-age=9, no-cache=\"set-cookie\""),
        cookie,
    ];
    let stored: StoredHead = store(&get, 200, &withheld).unwrap();
    assert!(!stored.headers.contains_key("set-cookie"));
}

#[test]
fn own_fields_stand_before_those_of_caches_nearer_to_the_client() {
    let own = OwnFields(headers(&[
        ("cache-status", "origin; hit"),
        ("x-request-id", "1"),
    ]));
    let mut answer = headers(&[("cache-status", "us; fwd=stale"), ("x", "1")]);
    own.add_to(&mut answer);
    let expected = [
        ("cache-status", "origin; hit"),
        ("cache-status", "us; fwd=stale"),
        ("x-request-id", "1"),
        ("x", "1"),
    ];
    assert_eq!(answer, headers(&expected));
}

#[test]
fn debug_shows_no_value_of_any_field() {
    const SECRET: &str = "a-secret-value";
    let lines = headers(&[
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("x-user", SECRET),
        ("x-request-id", SECRET),
        ("set-cookie", SECRET),
    ]);
    let policy = CachePolicy::default().with_set_cookie(SetCookie::Strip);
    let request = Request::get(&[("cookie", SECRET), ("authorization", SECRET)]);
    let head = request.head();
    let response = response(200, &lines);
    let stored = store(
        &Request::get(&[]),
        200,
        &[
            ("cache-control", "max-age=60"),
            ("etag", "\"a\""),
            ("x-user", SECRET),
        ],
    )
    .unwrap();
    let freshened = policy.freshen(&Request::get(&[]).head(), &stored, &response, |_| {});
    let shown = format!(
        "{head:?} {response:?} {stored:?} {freshened:?} {:?} {:?} {:?}",
        policy.fields(&response, &policy.terms(&response)),
        stored.answer(&head, 0, response.response_time),
        policy,
    );
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(shown.contains("x-user"), "names are shown");
}
