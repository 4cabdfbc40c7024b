//! Stored heads that were decoded before: decoding one takes longer than all the rest of a hit.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};

use super::found::{Found, Stamps};
use crate::{
    cache::policy::StoredHead,
    store::operations::response::{Stored, Version},
};

/// Bytes that the decoded heads of a layer may take.
const CAPACITY: u64 = 4 << 20;
/// What an entry takes beside its fields: the structs, the smallest header map, the cache's share.
const OVERHEAD: usize = 1024;

/// The decoded heads of one layer, by version. A decoded head is used only while the stored bytes
/// are equal to those that it was decoded from.
pub(crate) struct DecodedHeads(Cache<Version, Decoded, Weight>);

#[derive(Clone)]
struct Decoded {
    encoded: Bytes,
    /// The length of the body that the head describes.
    length: usize,
    head: Arc<StoredHead>,
    stamps: Stamps,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Version, Decoded> for Weight {
    fn weight(&self, _: &Version, decoded: &Decoded) -> u64 {
        // Both hold the field lines, and a header map has room for up to twice as many.
        (OVERHEAD + decoded.encoded.len() + size_of_val(&*decoded.stamps) + 4 * decoded.head.size())
            as u64
    }
}

impl Default for DecodedHeads {
    fn default() -> Self {
        Self(Cache::with_weighter(
            CAPACITY as usize / OVERHEAD,
            CAPACITY,
            Weight,
        ))
    }
}

impl DecodedHeads {
    /// The stored response, with the head that was decoded before or else with what `decode` returns.
    pub(crate) fn found(
        &self,
        stored: &Stored,
        decode: impl FnOnce(&Stored) -> Option<Found>,
    ) -> Option<Found> {
        let version = stored.version?;
        if let Some(decoded) = self.0.get(&version)
            && decoded.length == stored.body.len()
            && decoded.encoded == stored.head
        {
            return Some(Found {
                head: decoded.head,
                body: stored.body.clone(),
                version: Some(version),
                stamps: decoded.stamps,
            });
        }
        let found = decode(stored)?;
        let decoded = Decoded {
            encoded: stored.head.clone(),
            length: stored.body.len(),
            head: found.head.clone(),
            stamps: found.stamps.clone(),
        };
        self.0.insert(version, decoded);
        Some(found)
    }
}

impl fmt::Debug for DecodedHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedHeads")
            .field("heads", &self.0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cache::policy::testing;

    #[test]
    fn only_what_is_equal_is_not_decoded_again() {
        let heads = DecodedHeads::default();
        let decoded = Cell::new(0);
        let found = |stored: &Stored| {
            let decode = |stored: &Stored| {
                decoded.set(decoded.get() + 1);
                Some(Found {
                    head: Arc::new(testing::stored(&[])),
                    body: stored.body.clone(),
                    version: stored.version,
                    stamps: Stamps::default(),
                })
            };
            heads.found(stored, decode).is_some()
        };
        let stored = Stored {
            version: Some(Version::random()),
            head: Bytes::from_static(b"head"),
            body: Bytes::from_static(b"body"),
        };
        let longer = Stored {
            body: Bytes::from_static(b"body+"),
            ..stored.clone()
        };
        let other = Stored {
            head: Bytes::from_static(b"HEAD"),
            ..stored.clone()
        };
        let unknown = Stored {
            version: None,
            ..stored.clone()
        };
        for (stored, times) in [(&stored, 1), (&stored, 1), (&longer, 2), (&other, 3)] {
            assert!(found(stored));
            assert_eq!(decoded.get(), times);
        }
        assert!(!found(&unknown));
    }
}
