//! How the head of a stored response is written.

use std::sync::Arc;

use bytes::Bytes;

use super::found::Found;
use crate::{
    cache::policy::{StoredHead, Tag},
    store::operations::response::{Stamp, Stored},
};

/// The version of this format. A head in another one is a miss.
const FORMAT: u8 = 3;

/// Encodes a head for the store, with the length of the body that it describes and the stamps of
/// its tags.
pub(crate) fn encode(head: &StoredHead, length: u64, stamps: &[(Tag, Stamp)]) -> Option<Bytes> {
    match postcard::to_extend(&(length, stamps, head), vec![FORMAT]) {
        // Of exactly its length: the spare room of a vector would stay in memory with it.
        Ok(encoded) => Some(encoded.into_boxed_slice().into()),
        Err(error) => {
            tracing::error!(target: "tower_keep::cache", %error, "a response cannot be encoded");
            None
        }
    }
}

/// An encoded head as JSON, for who inspects a store: status and field lines, and the length of the
/// body.
#[cfg(feature = "inspect")]
pub(crate) fn show(encoded: &[u8]) -> Option<serde_json::Value> {
    let (&FORMAT, encoded) = encoded.split_first()? else {
        return None;
    };
    let (length, _, head) =
        postcard::from_bytes::<(u64, Vec<(Tag, Stamp)>, StoredHead)>(encoded).ok()?;
    let mut shown = head.show();
    shown["length"] = length.into();
    Some(shown)
}

/// Reads a stored response. `None`, which is a miss, for another format, for corrupt bytes and for
/// a head whose body has another length.
pub(super) fn decode(stored: &Stored) -> Option<Found> {
    let version = stored.version?;
    let (&FORMAT, encoded) = stored.head.split_first()? else {
        return None;
    };
    let actual = stored.body.len() as u64;
    match postcard::from_bytes::<(u64, Vec<(Tag, Stamp)>, StoredHead)>(encoded) {
        Ok((length, stamps, head)) if length == actual && head.declares(actual) => Some(Found {
            head: Arc::new(head),
            body: stored.body.clone(),
            version: Some(version),
            stamps: stamps.into(),
        }),
        Ok(_) => {
            tracing::warn!(target: "tower_keep::cache", "a stored body is not as long as its head says");
            None
        }
        Err(error) => {
            tracing::warn!(target: "tower_keep::cache", %error, "a stored response cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::policy::testing, store::operations::response::Version};

    fn head() -> StoredHead {
        testing::stored(&[
            ("link", "<1>, <2>"),
            ("vary", "a"),
            ("link", "<3>"),
            ("vary", "B"),
            ("vary", "c"),
        ])
    }

    fn stored(head: Bytes, body: &'static [u8]) -> Stored {
        Stored {
            version: Some(Version::random()),
            head,
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_body_of_another_length_is_a_miss() {
        let stored = |body| stored(encode(&head(), 4, &[]).unwrap(), body);
        assert!(decode(&stored(b"body")).is_some());
        for body in [&b""[..], b"bod", b"body "] {
            assert!(decode(&stored(body)).is_none(), "{body:?}");
        }
        let unknown = Stored {
            version: None,
            ..stored(b"body")
        };
        assert!(decode(&unknown).is_none());
    }

    #[test]
    fn a_head_with_several_lines_of_a_field_survives_the_store() {
        let head = head();
        let stored = stored(encode(&head, 4, &[]).unwrap(), b"body");
        let found = decode(&stored).unwrap();
        assert_eq!((&*found.head, &found.body[..]), (&head, &b"body"[..]));
        assert_eq!(&*found.head.vary().to_list(), "a,b,c");
    }

    #[test]
    fn another_format_and_damaged_bytes_are_a_miss() {
        let encoded = encode(&head(), 0, &[]).unwrap();
        let decoded = |head: Bytes| decode(&stored(head, b"")).is_some();
        assert!(decoded(encoded.clone()));
        let mut other = encoded.to_vec();
        other[0] = FORMAT + 1;
        assert!(!decoded(other.into()));
        for end in 0..encoded.len() {
            assert!(!decoded(encoded.slice(..end)), "{end}");
        }
    }
}
