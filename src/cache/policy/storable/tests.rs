use super::*;
use crate::cache::policy::date;
use crate::cache::policy::testing::{NOW, Request, at, headers, response, store};

fn get(status: u16, lines: &[(&str, &str)]) -> Result<StoredHead, NotStorable> {
    store(&Request::get(&[]), status, lines)
}

#[test]
fn any_final_status_with_explicit_freshness_is_stored() {
    for status in [
        200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599,
    ] {
        let stored = get(status, &[("cache-control", "max-age=100000")]).unwrap();
        assert_eq!(stored.status, status);
    }
}

#[test]
fn what_means_something_to_one_request_only_is_not_stored() {
    for status in [
        100, 101, 103, 304, 401, 407, 408, 412, 416, 417, 421, 425, 426, 428, 429, 431, 511,
    ] {
        let found = get(status, &[("cache-control", "max-age=100000")]);
        assert_eq!(found, Err(NotStorable::Status), "{status}");
    }
}

#[test]
fn directives_that_forbid_storing() {
    let expires = at(10_000);
    for (lines, reason) in [
        (&[("cache-control", "no-store")][..], NotStorable::NoStore),
        (
            &[("cache-control", "No-StOrE, max-age=9")],
            NotStorable::NoStore,
        ),
        (
            &[
                ("cache-control", "max-age=9, no-store"),
                ("expires", &expires),
            ],
            NotStorable::NoStore,
        ),
        (
            &[("cache-control", "private, max-age=9")],
            NotStorable::Private,
        ),
        (
            &[
                ("cdn-cache-control", "private"),
                ("cache-control", "max-age=9"),
            ],
            NotStorable::Private,
        ),
        (
            &[
                ("cdn-cache-control", "no-store"),
                ("cache-control", "max-age=9"),
            ],
            NotStorable::NoStore,
        ),
        (
            &[
                ("cdn-cache-control", "max-age=9, &&&"),
                ("cache-control", "no-store"),
            ],
            NotStorable::NoStore,
        ),
    ] {
        assert_eq!(get(200, lines), Err(reason), "{lines:?}");
    }
    let targeted = [
        ("cdn-cache-control", "max-age=9"),
        ("cache-control", "no-store"),
    ];
    assert!(get(200, &targeted).is_ok());
}

#[test]
fn must_understand_outweighs_no_store_for_known_codes() {
    let lines = [("cache-control", "max-age=3600, no-store, must-understand")];
    assert!(get(200, &lines).is_ok());
    assert_eq!(get(599, &lines), Err(NotStorable::NotUnderstood));
    let lines = [("cache-control", "max-age=3600, must-understand")];
    assert_eq!(get(599, &lines), Err(NotStorable::NotUnderstood));
}

#[test]
fn a_response_that_could_never_be_reused_is_not_stored() {
    for lines in [
        &[][..],
        &[("date", "Thu, 01 Jan 2026 00:00:00 GMT")],
        &[("cache-control", "max-age=0")],
        &[("cache-control", "no-cache")],
        &[("cache-control", "max-age=3600"), ("age", "7200")],
        &[("cache-control", "s-maxage=0, stale-if-error=60")],
        &[("expires", "0")],
        &[
            ("cdn-cache-control", "max-age=\"10000\""),
            ("cache-control", "max-age=9"),
        ],
    ] {
        assert_eq!(
            get(200, lines),
            Err(NotStorable::NothingToReuse),
            "{lines:?}"
        );
    }
    for lines in [
        &[("etag", "\"a\"")][..],
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        &[("cache-control", "max-age=0"), ("last-modified", "x")],
        &[("cache-control", "max-age=0, stale-while-revalidate=60")],
        &[("cache-control", "max-age=0, stale-if-error=60")],
    ] {
        assert!(get(200, lines).is_ok(), "{lines:?}");
    }
}

#[test]
fn the_deployers_stale_windows_do_not_make_up_a_lifetime() {
    let minute = std::time::Duration::from_secs(60);
    let policy = CachePolicy::default().with_stale_while_revalidate(minute);
    let request = Request::get(&[]);
    let check = |lines: &[(&str, &str)]| {
        let lines = headers(lines);
        policy
            .storable(&request.head(), &response(200, &lines), |_| {})
            .map(drop)
    };
    assert_eq!(check(&[]), Err(NotStorable::NothingToReuse));
    assert_eq!(check(&[("cache-control", "max-age=0")]), Ok(()));
}

#[test]
fn a_status_that_is_not_cacheable_by_default_needs_permission() {
    for status in [201, 202, 302, 403, 502, 599] {
        let modified = at(-86_400);
        let found = get(status, &[("last-modified", &modified), ("etag", "\"a\"")]);
        assert_eq!(found, Err(NotStorable::NotCacheableByDefault), "{status}");
        let public = [("last-modified", &*modified), ("cache-control", "public")];
        assert!(get(status, &public).is_ok(), "{status}");
    }
}

#[test]
fn responses_to_authorization_need_to_be_marked_as_shareable() {
    let request = Request::get(&[("authorization", "FOO")]);
    let store = |cache_control| store(&request, 200, &[("cache-control", cache_control)]);
    assert_eq!(store("max-age=100000"), Err(NotStorable::Authorization));
    for shareable in [
        "max-age=3600, public",
        "max-age=3600, must-revalidate",
        "s-maxage=3600",
    ] {
        let stored = store(shareable).unwrap();
        assert!(!format!("{stored:?}").contains("FOO"));
    }
}

#[test]
fn request_no_store_is_obeyed_if_honoured() {
    let request = Request::get(&[("cache-control", "no-store")]);
    let lines = headers(&[("cache-control", "max-age=60")]);
    let store =
        |policy: &CachePolicy| policy.storable(&request.head(), &response(200, &lines), |_| {});
    assert_eq!(
        store(&CachePolicy::default()),
        Err(NotStorable::RequestNoStore)
    );
    assert!(store(&CachePolicy::default().with_request_directives([])).is_ok());
}

#[test]
fn only_get_is_stored() {
    let fresh = ("cache-control", "max-age=60");
    let own = ("content-location", "/dir/page?query=1");
    for method in ["HEAD", "POST", "PUT", "M-SEARCH"] {
        let found = store(&Request::new(method, &[]), 200, &[fresh, own]);
        assert_eq!(found, Err(NotStorable::Method), "{method}");
    }
}

#[test]
fn vary_star_is_not_stored() {
    for vary in ["*", "*, *", ", *", "Foo, *"] {
        let lines = [("cache-control", "max-age=5000"), ("vary", vary)];
        assert_eq!(get(200, &lines), Err(NotStorable::VaryAny));
    }
}

#[test]
fn a_206_is_stored_as_the_part_that_it_is() {
    let store = |range| {
        get(
            206,
            &[("cache-control", "max-age=60"), ("content-range", range)],
        )
    };
    let stored = store("bytes 4-9/10").unwrap();
    let part = Part {
        first: 4,
        last: 9,
        complete: Some(10),
    };
    assert_eq!(stored.part, Some(part));
    assert!(!stored.headers.contains_key("content-range"));
    for invalid in [
        "bytes 9-4/10",
        "bytes 4-10/10",
        "lines 0-1/2",
        "bytes */10",
        "bytes",
        "",
    ] {
        assert_eq!(store(invalid), Err(NotStorable::Partial), "{invalid}");
    }
    let multipart = get(206, &[("cache-control", "max-age=60")]);
    assert_eq!(multipart, Err(NotStorable::Partial));
    let odd = [
        ("cache-control", "max-age=60"),
        ("content-range", "kept on a 200"),
    ];
    assert_eq!(
        get(200, &odd).unwrap().headers["content-range"],
        "kept on a 200"
    );
}

#[test]
fn all_fields_are_stored_but_those_of_the_connection_and_the_withheld() {
    let stored = get(
        200,
        &[
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("connection", "a"),
            ("a", "1"),
            ("keep-alive", "x"),
            ("trailer", "x"),
            (
                "cache-control",
                "no-cache=\"b, Set-Cookie\", private=\"c\", max-age=3600",
            ),
            ("b", "2"),
            ("c", "3"),
            ("set-cookie", "x"),
            ("link", "<1>"),
            ("unrecognised", "kept"),
            ("link", "<2>"),
        ],
    );
    let expected = headers(&[
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        (
            "cache-control",
            "no-cache=\"b, Set-Cookie\", private=\"c\", max-age=3600",
        ),
        ("link", "<1>"),
        ("link", "<2>"),
        ("unrecognised", "kept"),
    ]);
    assert_eq!(*stored.unwrap().headers, expected);
}

#[test]
fn a_missing_or_invalid_date_becomes_the_time_of_receipt() {
    for lines in [
        &[("cache-control", "max-age=9")][..],
        &[("cache-control", "max-age=9"), ("date", "foo")],
    ] {
        assert_eq!(get(200, lines).unwrap().headers["date"], date::format(NOW));
    }
}

#[test]
fn an_answer_that_is_not_stored_may_supersede_what_is() {
    for (reason, status, supersedes, is_lasting) in [
        (NotStorable::NoStore, 200, true, true),
        (NotStorable::Private, 301, true, true),
        (NotStorable::NothingToReuse, 404, true, true),
        (NotStorable::NothingToReuse, 403, false, false),
        (NotStorable::NoStore, 400, false, false),
        (NotStorable::NoStore, 302, false, false),
        (NotStorable::NothingToReuse, 503, false, false),
        (NotStorable::Authorization, 200, false, false),
        (NotStorable::RequestNoStore, 200, false, false),
        (NotStorable::Partial, 206, false, false),
        (NotStorable::Status, 416, false, false),
        (NotStorable::SetCookie, 200, false, true),
        (NotStorable::SetCookie, 403, false, false),
        (NotStorable::Private, 304, false, true),
        (NotStorable::Status, 304, false, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let found = (reason.supersedes_stored(status), reason.is_lasting(status));
        assert_eq!(found, (supersedes, is_lasting), "{reason:?} {status}");
    }
}

#[test]
fn the_deployer_may_change_the_terms() {
    let request = Request::get(&[]);
    let lines = headers(&[]);
    let response = response(404, &lines);
    let policy = CachePolicy::default();
    let negative = policy.storable(&request.head(), &response, |terms| terms.lifetime = Some(5));
    assert_eq!(negative.unwrap().ttl(NOW), 5);
    let refused = policy.storable(&request.head(), &response, |terms| {
        terms.lifetime = Some(5);
        terms.directives.private = true;
    });
    assert_eq!(refused, Err(NotStorable::Private));
}
