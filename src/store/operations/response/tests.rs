//! The memory half, seen from inside.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::store::{MemoryLimits, Operation, Timestamp, memory::Memory};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn key() -> crate::store::Key {
    crate::store::Namespace::default().cache("primary")
}

fn begun(memory: &Memory) -> Generation {
    let begin = Begin {
        key: key(),
        generation: Generation::random(),
        lease: Duration::from_secs(60),
    };
    begin.run(memory, NOW).unwrap()
}

fn put(memory: &Memory, variant: &str, head: Bytes, body: Option<Bytes>) -> Put {
    Put {
        key: key(),
        generation: begun(memory),
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

fn stored(memory: &Memory, variant: &str) -> Option<Stored> {
    let lookup = Lookup {
        key: key(),
        variants: vec![variant.into()],
    };
    lookup.run(memory, NOW).unwrap().variants.remove(0)
}

#[test]
fn a_stored_head_and_body_own_their_bytes_and_pin_no_read_buffer() {
    let memory = Memory::new(&MemoryLimits::default());
    let buffer = Bytes::from(vec![b'x'; 64 << 10]);
    let inside = buffer.as_ptr_range();
    let put = put(
        &memory,
        "a",
        buffer.slice(10..90),
        Some(buffer.slice(100..200)),
    );
    assert!(put.run(&memory, NOW).unwrap());
    let found = stored(&memory, "a").unwrap();
    for bytes in [found.head, found.body] {
        assert!(!bytes.is_empty() && !inside.contains(&bytes.as_ptr()));
    }
}

#[test]
fn what_was_made_of_a_stored_response_replaces_that_one_only() {
    let memory = Memory::new(&MemoryLimits::default());
    let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"new"));
    let first = put(&memory, "a", old.clone(), Some(old.clone()));
    assert!(first.run(&memory, NOW).unwrap());
    let freshened = |seen| Put {
        replaces: Replaces::Only(seen),
        ..put(&memory, "a", new.clone(), None)
    };
    assert!(!freshened(Version::random()).run(&memory, NOW).unwrap());
    assert_eq!(stored(&memory, "a").unwrap().head, old);
    let update = freshened(first.version);
    assert!(update.run(&memory, NOW).unwrap());
    let found = stored(&memory, "a").unwrap();
    assert_eq!((found.head, found.body), (new.clone(), old.clone()));
    // Its version is another one now; sent twice, it is one and the same.
    assert!(!freshened(first.version).run(&memory, NOW).unwrap());
    assert!(update.run(&memory, NOW).unwrap());
}

#[test]
fn an_older_response_replaces_only_what_was_seen() {
    let memory = Memory::new(&MemoryLimits::default());
    let bytes = Bytes::from_static(b"x");
    let of = |recency, seen| Put {
        recency,
        replaces: Replaces::NotNewer { seen },
        ..put(&memory, "a", bytes.clone(), Some(bytes.clone()))
    };
    let first = of((10, 5), None);
    assert!(first.run(&memory, NOW).unwrap());
    assert!(!of((9, 9), None).run(&memory, NOW).unwrap());
    assert!(!of((10, 4), None).run(&memory, NOW).unwrap());
    assert!(
        !of((9, 9), Some(Version::random()))
            .run(&memory, NOW)
            .unwrap()
    );
    assert!(of((9, 9), Some(first.version)).run(&memory, NOW).unwrap());
    assert!(of((10, 4), None).run(&memory, NOW).unwrap());
}
