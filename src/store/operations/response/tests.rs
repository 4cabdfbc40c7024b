//! The memory half, seen from inside.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::store::{batch::Operation, clock::Timestamp, memory::Table};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn key() -> Key {
    super::key(&Namespace::default(), "primary")
}

fn begun(table: &Table<Entry>) -> Generation {
    let begin = Begin {
        key: key(),
        generation: Generation::random(),
        lease: Duration::from_secs(60),
    };
    begin.run(table, NOW).unwrap()
}

fn put(table: &Table<Entry>, variant: &str, head: Bytes, body: Option<Bytes>) -> Put {
    Put {
        key: key(),
        generation: begun(table),
        variant: variant.into(),
        version: Version::random(),
        replaces: Replaces::NotNewer { seen: None },
        recency: (1, 1),
        vary: "".into(),
        head,
        body,
        ttl: Duration::from_secs(600),
        most_variants: 32,
    }
}

fn stored(table: &Table<Entry>, variant: &str) -> Option<Stored> {
    let lookup = Lookup {
        key: key(),
        variants: vec![variant.into()],
    };
    lookup.run(table, NOW).unwrap().variants.remove(0)
}

#[test]
fn a_stored_head_and_body_own_their_bytes_and_pin_no_read_buffer() {
    let table = Table::with_budget(128 << 20);
    let buffer = Bytes::from(vec![b'x'; 64 << 10]);
    let inside = buffer.as_ptr_range();
    let put = put(
        &table,
        "a",
        buffer.slice(10..90),
        Some(buffer.slice(100..200)),
    );
    assert!(put.run(&table, NOW).unwrap());
    let found = stored(&table, "a").unwrap();
    for bytes in [found.head, found.body] {
        assert!(!bytes.is_empty() && !inside.contains(&bytes.as_ptr()));
    }
}

#[test]
fn what_was_made_of_a_stored_response_replaces_that_one_only() {
    let table = Table::with_budget(128 << 20);
    let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"new"));
    let first = put(&table, "a", old.clone(), Some(old.clone()));
    assert!(first.run(&table, NOW).unwrap());
    let freshened = |seen| Put {
        replaces: Replaces::Only(seen),
        ..put(&table, "a", new.clone(), None)
    };
    assert!(!freshened(Version::random()).run(&table, NOW).unwrap());
    assert_eq!(stored(&table, "a").unwrap().head, old);
    let update = freshened(first.version);
    assert!(update.run(&table, NOW).unwrap());
    let found = stored(&table, "a").unwrap();
    assert_eq!((found.head, found.body), (new.clone(), old.clone()));
    // Its version is another one now; sent twice, it is one and the same.
    assert!(!freshened(first.version).run(&table, NOW).unwrap());
    assert!(update.run(&table, NOW).unwrap());
}

#[test]
fn an_older_response_replaces_only_what_was_seen() {
    let table = Table::with_budget(128 << 20);
    let bytes = Bytes::from_static(b"x");
    let of = |recency, seen| Put {
        recency,
        replaces: Replaces::NotNewer { seen },
        ..put(&table, "a", bytes.clone(), Some(bytes.clone()))
    };
    let first = of((10, 5), None);
    assert!(first.run(&table, NOW).unwrap());
    assert!(!of((9, 9), None).run(&table, NOW).unwrap());
    assert!(!of((10, 4), None).run(&table, NOW).unwrap());
    assert!(
        !of((9, 9), Some(Version::random()))
            .run(&table, NOW)
            .unwrap()
    );
    assert!(of((9, 9), Some(first.version)).run(&table, NOW).unwrap());
    assert!(of((10, 4), None).run(&table, NOW).unwrap());
}
