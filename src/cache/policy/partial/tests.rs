use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{NOW, Request, headers, response, store};

fn stored(range: &str, etag: &str) -> StoredHead {
    let lines = [
        ("cache-control", "max-age=60"),
        ("content-range", range),
        ("etag", etag),
        ("a", "1"),
    ];
    store(&Request::get(&[]), 206, &lines).unwrap()
}

fn combine(
    stored: &StoredHead,
    length: u64,
    lines: &[(&str, &str)],
    new_length: u64,
) -> Option<Combined> {
    let lines = headers(lines);
    let request = Request::get(&[]);
    let response = response(206, &lines);
    CachePolicy::default().combine(
        &request.head(),
        stored,
        length,
        &response,
        new_length,
        |_| {},
    )
}

fn tagged(range: &str) -> [(&str, &str); 2] {
    [("content-range", range), ("etag", "\"a\"")]
}

#[test]
fn the_missing_range_is_asked_for() {
    for (range, length, expected) in [
        ("bytes 0-4/10", 5, Some("bytes=5-")),
        ("bytes 5-9/10", 5, Some("bytes=0-4")),
        ("bytes 0-4/*", 5, Some("bytes=5-")),
        ("bytes 4-8/10", 5, None),
        ("bytes 4-9/10", 5, None),
        ("bytes 0-9/10", 10, None),
    ] {
        let mut request = headers(&[("if-none-match", "\"x\""), ("range", "bytes=1-2")]);
        let asked = completion_request(&stored(range, "\"a\""), length, &mut request);
        assert_eq!(asked, expected.is_some(), "{range}");
        let expected = match expected {
            Some(range) => headers(&[("range", range), ("if-range", "\"a\"")]),
            None => headers(&[("if-none-match", "\"x\""), ("range", "bytes=1-2")]),
        };
        assert_eq!(request, expected, "{range}");
    }
}

#[test]
fn if_range_is_only_sent_with_a_strong_tag() {
    let mut request = headers(&[("if-range", "\"x\"")]);
    assert!(completion_request(
        &stored("bytes 0-4/10", "W/\"a\""),
        5,
        &mut request
    ));
    assert_eq!(request, headers(&[("range", "bytes=5-")]));
}

#[test]
fn parts_that_complete_each_other_are_a_whole_response() {
    let found = combine(
        &stored("bytes 0-4/10", "\"a\""),
        5,
        &[
            ("content-range", "bytes 5-9/10"),
            ("etag", "\"a\""),
            ("a", "2"),
            ("content-length", "5"),
        ],
        5,
    )
    .unwrap();
    assert_eq!(found.body, [Piece::Stored(0..5), Piece::New(0..5)]);
    assert_eq!((found.head.status, found.head.part), (StatusCode::OK, None));
    assert_eq!(found.head.headers["content-length"], "10");
    assert_eq!(found.head.headers["a"], "2", "fields of the new response");
    assert!(!found.head.headers.contains_key("content-range"));
    assert!(found.head.validity.is_fresh(NOW));
}

#[test]
fn parts_that_leave_a_gap_are_a_larger_part() {
    let found = combine(
        &stored("bytes 2-4/10", "\"a\""),
        3,
        &tagged("bytes 5-6/10"),
        2,
    )
    .unwrap();
    let part = Part {
        first: 2,
        last: 6,
        complete: Some(10),
    };
    assert_eq!(
        (found.head.status.as_u16(), found.head.part),
        (206, Some(part))
    );
    assert!(!found.head.headers.contains_key("content-length"));
    let around = combine(
        &stored("bytes 2-8/10", "\"a\""),
        7,
        &tagged("bytes 4-5/10"),
        2,
    )
    .unwrap();
    assert_eq!(
        around.body,
        [Piece::Stored(0..2), Piece::New(0..2), Piece::Stored(4..7)]
    );
}

#[test]
fn parts_are_combined_only_by_one_strong_validator() {
    let strong = stored("bytes 0-4/10", "\"a\"");
    let rest = ("content-range", "bytes 5-9/10");
    assert!(combine(&strong, 5, &[rest, ("etag", "\"a\"")], 5).is_some());
    assert!(combine(&strong, 5, &[rest, ("etag", "\"b\"")], 5).is_none());
    assert!(combine(&strong, 5, &[rest, ("etag", "W/\"a\"")], 5).is_none());
    assert!(combine(&strong, 5, &[rest], 5).is_none());
    let weak = stored("bytes 0-4/10", "W/\"a\"");
    assert!(combine(&weak, 5, &[rest, ("etag", "W/\"a\"")], 5).is_none());
}

#[test]
fn parts_that_do_not_fit_are_not_combined() {
    let first = stored("bytes 0-4/10", "\"a\"");
    assert!(
        combine(&first, 5, &tagged("bytes 6-9/10"), 4).is_none(),
        "a gap between"
    );
    assert!(
        combine(&first, 5, &tagged("bytes 5-9/11"), 5).is_none(),
        "another length"
    );
    assert!(
        combine(&first, 5, &tagged("bytes 5-9/10"), 4).is_none(),
        "miscounted"
    );
    assert!(
        combine(&first, 4, &tagged("bytes 5-9/10"), 5).is_none(),
        "miscounted before"
    );
    assert!(combine(&first, 5, &tagged("bytes */10"), 5).is_none());
    let mut forbidden = tagged("bytes 5-9/10").to_vec();
    forbidden.push(("cache-control", "no-store"));
    assert!(combine(&first, 5, &forbidden, 5).is_none());
}

proptest! {
    #[test]
    fn combined_bodies_are_the_representation(
        body in proptest::collection::vec(any::<u8>(), 1..40),
        cuts in (0usize..40, 0usize..40, 0usize..40, 0usize..40),
    ) {
        let total = body.len();
        let span = |a: usize, b: usize| {
            let (a, b) = (a % total, b % total);
            (a.min(b), a.max(b))
        };
        let ((old_first, old_last), (new_first, new_last)) = (span(cuts.0, cuts.1), span(cuts.2, cuts.3));
        let old_body = &body[old_first..=old_last];
        let new_body = &body[new_first..=new_last];
        let stored = stored(&format!("bytes {old_first}-{old_last}/{total}"), "\"a\"");
        let range = format!("bytes {new_first}-{new_last}/{total}");
        let found = combine(&stored, old_body.len() as u64, &tagged(&range), new_body.len() as u64);
        let adjoining = old_first <= new_last + 1 && new_first <= old_last + 1;
        prop_assert_eq!(found.is_some(), adjoining);
        if let Some(found) = found {
            let combined: Vec<u8> = found.body.iter().flat_map(|piece| match piece {
                Piece::Stored(bytes) => &old_body[bytes.start as usize..bytes.end as usize],
                Piece::New(bytes) => &new_body[bytes.start as usize..bytes.end as usize],
            }).copied().collect();
            let (first, last) = (old_first.min(new_first), old_last.max(new_last));
            prop_assert_eq!(&combined[..], &body[first..=last]);
            prop_assert_eq!(found.head.part.is_none(), first == 0 && last + 1 == total);
        }
    }
}
