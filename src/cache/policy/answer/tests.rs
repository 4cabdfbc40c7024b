use super::*;
use crate::cache::policy::testing::{Request, after, at, headers, store, stored};

fn answer(request: &Request, stored: &StoredHead) -> Answer {
    stored.answer(&request.head(), 11, after(3))
}

fn get(lines: &[(&str, &str)], stored: &StoredHead) -> Answer {
    answer(&Request::get(lines), stored)
}

#[test]
fn a_stored_response_comes_back_with_its_age_and_its_own_date() {
    let date = at(0);
    let lines = [
        ("cache-control", "max-age=100000"),
        ("date", &*date),
        ("age", "30"),
        ("link", "<1>"),
        ("link", "<2>"),
        ("expires", "kept"),
    ];
    let answer = get(&[], &stored(&lines));
    assert_eq!(
        (answer.status, answer.content),
        (StatusCode::OK, Content::Whole)
    );
    let mut expected = headers(&lines);
    expected.insert("age", "33".parse().unwrap());
    assert_eq!(answer.headers, expected);
}

#[test]
fn head_is_answered_from_get_without_the_content() {
    let head = Request::new("HEAD", &[("range", "bytes=0-1")]);
    let found = answer(&head, &stored(&[("x", "1")]));
    assert_eq!(
        (found.status, found.content),
        (StatusCode::OK, Content::Empty)
    );
    assert_eq!(found.headers["content-length"], "11");
    let own = answer(&head, &stored(&[("content-length", "12")]));
    assert_eq!(own.headers["content-length"], "12");
    let lines = [("cache-control", "max-age=9")];
    let empty = answer(&head, &store(&Request::get(&[]), 204, &lines).unwrap());
    assert!(!empty.headers.contains_key("content-length"));
}

#[test]
fn an_unmodified_response_is_a_304_without_the_fields_of_the_content() {
    let modified = at(-3000);
    let stored = stored(&[
        ("etag", "\"abcdef\""),
        ("last-modified", &modified),
        ("content-type", "text/plain"),
        ("content-length", "11"),
        ("content-location", "/x"),
        ("vary", "foo"),
        ("x-frame-options", "deny"),
    ]);
    for condition in [
        ("if-none-match", "\"abcdef\""),
        ("if-modified-since", &*modified),
    ] {
        let found = get(&[condition], &stored);
        assert_eq!(
            (found.status, found.content),
            (StatusCode::NOT_MODIFIED, Content::Empty)
        );
        for kept in [
            "etag",
            "date",
            "cache-control",
            "content-location",
            "vary",
            "x-frame-options",
            "age",
        ] {
            assert!(found.headers.contains_key(kept), "{kept}");
        }
        for dropped in ["content-type", "content-length", "last-modified"] {
            assert!(!found.headers.contains_key(dropped), "{dropped}");
        }
    }
    let head = Request::new("HEAD", &[("if-none-match", "\"abcdef\"")]);
    assert_eq!(answer(&head, &stored).status, StatusCode::NOT_MODIFIED);
    let other = get(
        &[("if-none-match", "\"x\""), ("if-modified-since", &modified)],
        &stored,
    );
    assert_eq!(other.status, StatusCode::OK);
}

#[test]
fn last_modified_stays_in_a_304_without_a_tag() {
    let modified = at(-3000);
    let found = get(
        &[("if-modified-since", &modified)],
        &stored(&[("last-modified", &modified)]),
    );
    assert_eq!(found.headers["last-modified"], &*modified);
}

#[test]
fn conditions_and_ranges_are_for_stored_200_and_206_only() {
    let lines = [("cache-control", "max-age=9"), ("etag", "\"a\"")];
    for status in [203, 404] {
        let stored = store(&Request::get(&[]), status, &lines).unwrap();
        for condition in [("if-none-match", "\"a\""), ("range", "bytes=0-1")] {
            let found = get(&[condition], &stored);
            assert_eq!(
                (found.status.as_u16(), found.content),
                (status, Content::Whole)
            );
        }
    }
}

#[test]
fn a_range_of_a_stored_response_has_its_fields() {
    let stored = stored(&[
        ("a", "1"),
        ("content-length", "11"),
        ("content-range", "odd"),
    ]);
    let found = get(&[("range", "bytes=2-5")], &stored);
    assert_eq!(found.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(found.content, Content::Slice(2..6));
    for (name, value) in [
        ("content-range", "bytes 2-5/11"),
        ("content-length", "4"),
        ("a", "1"),
        ("age", "3"),
    ] {
        assert_eq!(found.headers[name], value, "{name}");
    }
    for ignored in ["bytes=0-1,3-4", "lines=0-1", "bytes=5-2"] {
        let found = get(&[("range", ignored)], &stored);
        assert_eq!(
            (found.status, found.content),
            (StatusCode::OK, Content::Whole),
            "{ignored}"
        );
    }
    let found = get(&[("range", "bytes=0-1"), ("if-range", "\"x\"")], &stored);
    assert_eq!(
        (found.status, found.content),
        (StatusCode::OK, Content::Whole)
    );
}

#[test]
fn a_range_beyond_the_end_is_a_416() {
    let stored = stored(&[
        ("etag", "\"a\""),
        ("content-type", "x/y"),
        ("access-control-allow-origin", "*"),
    ]);
    let found = get(&[("range", "bytes=11-")], &stored);
    assert_eq!(
        (found.status, found.content),
        (StatusCode::RANGE_NOT_SATISFIABLE, Content::Empty)
    );
    assert_eq!(found.headers["content-range"], "bytes */11");
    assert_eq!(found.headers["content-length"], "0");
    assert!(found.headers.contains_key("access-control-allow-origin"));
    for dropped in ["etag", "content-type", "cache-control"] {
        assert!(!found.headers.contains_key(dropped), "{dropped}");
    }
}

#[test]
fn the_condition_is_judged_before_the_range() {
    let stored = stored(&[("etag", "\"a\"")]);
    let found = get(
        &[("if-none-match", "\"a\""), ("range", "bytes=0-1")],
        &stored,
    );
    assert_eq!(found.status, StatusCode::NOT_MODIFIED);
    let found = get(
        &[("if-none-match", "\"b\""), ("range", "bytes=0-1")],
        &stored,
    );
    assert_eq!(found.status, StatusCode::PARTIAL_CONTENT);
}

#[test]
fn a_stored_part_is_only_ever_sent_as_a_part() {
    let lines = [
        ("cache-control", "max-age=9"),
        ("content-range", "bytes 4-14/20"),
        ("content-length", "11"),
    ];
    let stored = store(&Request::get(&[]), 206, &lines).unwrap();
    let found = get(&[("range", "bytes=6-8")], &stored);
    assert_eq!(
        (found.status, found.content),
        (StatusCode::PARTIAL_CONTENT, Content::Slice(2..5))
    );
    assert_eq!(found.headers["content-range"], "bytes 6-8/20");
    let found = get(&[], &stored);
    assert_eq!(
        (found.status, found.content),
        (StatusCode::PARTIAL_CONTENT, Content::Slice(0..11))
    );
    assert_eq!(found.headers["content-range"], "bytes 4-14/20");
    assert_eq!(found.headers["content-length"], "11");
}
