use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Request, at, headers};

fn requested(request: &[(&str, &str)], response: &[(&str, &str)]) -> Option<ByteRange> {
    ByteRange::requested(&Request::get(request).head(), &headers(response))
}

fn part(first: u64, last: u64, complete: u64) -> Part {
    let complete = Some(complete);
    Part {
        first,
        last,
        complete,
    }
}

/// The bytes of `body`, stored as `part`, that answer the range, and the part that they are.
fn selected<'a>(range: &str, stored: Option<Part>, body: &'a [u8]) -> Option<(&'a [u8], Part)> {
    let range = ByteRange::parse(range).unwrap();
    match range.select(stored, body.len() as u64) {
        Selection::Slice(bytes, part) => {
            Some((&body[bytes.start as usize..bytes.end as usize], part))
        }
        _ => None,
    }
}

#[test]
fn ranges_of_a_whole_body() {
    let body = b"0123456789A";
    for (range, expected, first, last) in [
        ("bytes=0-1", &b"01"[..], 0, 1),
        ("bytes=2-5", b"2345", 2, 5),
        ("bytes=1-", b"123456789A", 1, 10),
        ("bytes=-1", b"A", 10, 10),
        ("bytes=-100", body, 0, 10),
        ("bytes=9-100", b"9A", 9, 10),
        ("bytes=0-18446744073709551616", body, 0, 10),
        ("Bytes = 0-0 ", b"0", 0, 0),
    ] {
        assert_eq!(
            selected(range, None, body),
            Some((expected, part(first, last, 11))),
            "{range}"
        );
    }
}

#[test]
fn ranges_of_a_stored_part() {
    let stored = Some(part(5, 9, 10));
    for (range, expected, first, last) in [
        ("bytes=-5", &b"01234"[..], 5, 9),
        ("bytes=6-8", b"123", 6, 8),
        ("bytes=6-", b"1234", 6, 9),
        ("bytes=6-99", b"1234", 6, 9),
        ("bytes=-1", b"4", 9, 9),
    ] {
        assert_eq!(
            selected(range, stored, b"01234"),
            Some((expected, part(first, last, 10)))
        );
    }
}

/// Some origins miscount `Content-Range`. Ranges then count from the end of the bytes that they name,
/// and the answer describes the bytes it carries.
#[test]
fn a_part_shorter_than_its_content_range_stays_within_its_bytes() {
    let stored = Some(part(4, 9, 10));
    for (range, expected, first, last) in [
        ("bytes=-5", &b"01234"[..], 5, 9),
        ("bytes=6-8", b"234", 6, 8),
        ("bytes=6-", b"234", 6, 8),
        ("bytes=-1", b"4", 9, 9),
    ] {
        assert_eq!(
            selected(range, stored, b"01234"),
            Some((expected, part(first, last, 10)))
        );
    }
    for range in ["bytes=-6", "bytes=9-", "bytes=9-9"] {
        assert_eq!(selected(range, stored, b"01234"), None, "{range}");
    }
}

#[test]
fn ranges_beyond_the_representation_are_unsatisfiable() {
    for (range, stored, length, complete) in [
        ("bytes=11-", None, 11, 11),
        ("bytes=11-12", None, 11, 11),
        ("bytes=-0", None, 11, 11),
        ("bytes=0-", None, 0, 0),
        ("bytes=10-", Some(part(4, 8, 10)), 5, 10),
    ] {
        let found = ByteRange::parse(range).unwrap().select(stored, length);
        assert_eq!(found, Selection::Unsatisfiable(complete), "{range}");
    }
    assert_eq!(ByteRange::Suffix(1).select(None, 0), Selection::Whole);
}

#[test]
fn a_part_of_unknown_length_has_no_end() {
    let stored = Part {
        first: 4,
        last: 8,
        complete: None,
    };
    let select = |range| ByteRange::parse(range).unwrap().select(Some(stored), 5);
    assert_eq!(
        select("bytes=5-6"),
        Selection::Slice(
            1..3,
            Part {
                first: 5,
                last: 6,
                complete: None
            }
        )
    );
    for range in ["bytes=5-", "bytes=-1", "bytes=5-9", "bytes=99-"] {
        assert_eq!(select(range), Selection::NotStored, "{range}");
    }
}

#[test]
fn what_is_no_single_byte_range_is_ignored() {
    for range in [
        "bytes=0-1,3-4",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=+1-2",
        "lines=0-1",
        "0-1",
        "bytes 0-1",
    ] {
        assert_eq!(requested(&[("range", range)], &[]), None, "{range}");
    }
    assert_eq!(requested(&[], &[]), None);
    let head = Request::new("HEAD", &[("range", "bytes=0-1")]);
    assert_eq!(ByteRange::requested(&head.head(), &headers(&[])), None);
}

#[test]
fn if_range_needs_the_same_strong_validator() {
    let (modified, other, date) = (at(-3000), at(-3001), at(0));
    for (condition, response, holds) in [
        ("\"a\"", &[("etag", "\"a\"")][..], true),
        ("\"b\"", &[("etag", "\"a\"")], false),
        ("W/\"a\"", &[("etag", "W/\"a\"")], false),
        ("\"a\"", &[("etag", "W/\"a\"")], false),
        ("\"a\"", &[], false),
        (
            &modified,
            &[("last-modified", &modified), ("date", &date)],
            true,
        ),
        (
            &other,
            &[("last-modified", &modified), ("date", &date)],
            false,
        ),
        (
            &date,
            &[("last-modified", &modified), ("date", &date)],
            false,
        ),
        (
            &modified,
            &[("last-modified", &modified), ("date", &modified)],
            false,
        ),
        (&modified, &[("last-modified", &modified)], false),
        ("foo", &[("last-modified", "foo"), ("date", &date)], false),
    ] {
        let request = [("range", "bytes=0-1"), ("if-range", condition)];
        assert_eq!(
            requested(&request, response).is_some(),
            holds,
            "{condition} {response:?}"
        );
    }
}

#[test]
fn content_range_is_read_and_written() {
    for (value, expected) in [
        ("bytes 0-4/10", Some(part(0, 4, 10))),
        ("Bytes 0-0/1", Some(part(0, 0, 1))),
        (
            "bytes 4-8/*",
            Some(Part {
                first: 4,
                last: 8,
                complete: None,
            }),
        ),
        ("bytes 4-3/10", None),
        ("bytes 4-10/10", None),
        ("bytes */10", None),
        ("bytes=0-4/10", None),
        ("pages 0-4/10", None),
        ("bytes 0-18446744073709551615/*", None),
        ("ananananananana", None),
    ] {
        let found = Part::of(&headers(&[("content-range", value)]));
        assert_eq!(found, expected, "{value}");
        if let Some(part) = found {
            let written = part.content_range();
            assert!(value.eq_ignore_ascii_case(written.to_str().unwrap()));
        }
    }
    assert_eq!(
        Part::of(&headers(&[
            ("content-range", "bytes 0-4/10"),
            ("content-range", "bytes 5-9/10")
        ])),
        None
    );
    assert_eq!(unsatisfied_content_range(10), "bytes */10");
}

proptest! {
    #[test]
    fn a_slice_is_what_slicing_the_representation_gives(
        body in proptest::collection::vec(any::<u8>(), 1..64),
        cut in (0usize..64, 0usize..64),
        first in 0u64..80,
        length in 0u64..80,
        kind in 0..3,
    ) {
        let (start, end) = (cut.0 % body.len(), cut.1 % body.len());
        let (start, end) = (start.min(end), start.max(end) + 1);
        let total = body.len() as u64;
        let (range, naive) = match kind {
            0 => (ByteRange::From(first, Some(first + length)), first..(first + length + 1).min(total)),
            1 => (ByteRange::From(first, None), first..total),
            _ => (ByteRange::Suffix(length), total.saturating_sub(length)..total),
        };
        let stored = part(start as u64, end as u64 - 1, total);
        let stored_body = &body[start..end];
        let expected = (!naive.is_empty()).then(|| &body[naive.start as usize..naive.end as usize]);
        match range.select(Some(stored), stored_body.len() as u64) {
            Selection::Slice(bytes, part) => {
                let slice = &stored_body[bytes.start as usize..bytes.end as usize];
                prop_assert_eq!(Some(slice), expected);
                prop_assert_eq!((part.first, part.last), (naive.start, naive.end - 1));
            }
            Selection::Unsatisfiable(_) => prop_assert_eq!(expected, None),
            Selection::NotStored => prop_assert!(naive.start < start as u64 || naive.end > end as u64),
            Selection::Whole => prop_assert!(false, "a part is not the whole"),
        }
        if let Selection::Slice(bytes, _) = range.select(None, total) {
            prop_assert_eq!(Some(&body[bytes.start as usize..bytes.end as usize]), expected);
        } else {
            prop_assert_eq!(None, expected);
        }
    }

    #[test]
    fn any_range_and_any_part_select_without_panic(
        first: u64, last: Option<u64>, suffix: u64, stored: (u64, u64, Option<u64>), length: u64,
    ) {
        let content_range = Part { first: stored.0, last: stored.1, complete: stored.2 }.content_range();
        let lines = [(header::CONTENT_RANGE, content_range)].into_iter().collect();
        for part in [None, Part::of(&lines)] {
            for range in [ByteRange::From(first, last.filter(|last| first <= *last)), ByteRange::Suffix(suffix)] {
                if let Selection::Slice(bytes, part) = range.select(part, length) {
                    prop_assert!(!bytes.is_empty() && bytes.end <= length);
                    prop_assert_eq!(part.length(), bytes.end - bytes.start);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let lines: HeaderMap = [header::RANGE, header::IF_RANGE, header::CONTENT_RANGE]
                .into_iter().map(|name| (name, value.clone())).collect();
            let request = Request { headers: lines.clone(), ..Request::get(&[]) };
            let _ = ByteRange::requested(&request.head(), &lines);
            let _ = Part::of(&lines);
        }
    }
}
