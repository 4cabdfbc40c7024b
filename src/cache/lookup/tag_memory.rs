//! What tags the resources are known to have.

use std::{fmt, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

use crate::{
    cache::policy::Tag,
    store::{Key, heap},
};

/// Bytes that the tags of a layer may take.
const CAPACITY: u64 = 4 << 20;
/// Of an entry beside what is on the heap: both structs and the cache's share.
const OVERHEAD: usize = 128;

/// The tags of what was found last under a primary key: their stamps are read with the next lookup.
/// A wrong guess costs a second round trip.
pub(super) struct TagMemory(Cache<Key, Arc<[Tag]>, Weight>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Arc<[Tag]>> for Weight {
    fn weight(&self, key: &Key, tags: &Arc<[Tag]>) -> u64 {
        let tags = heap(2 * size_of::<usize>() + size_of_val(&**tags));
        (OVERHEAD + heap(key.as_str().len()) + tags) as u64
    }
}

impl Default for TagMemory {
    fn default() -> Self {
        let entries = CAPACITY as usize / (2 * OVERHEAD);
        Self(Cache::with_weighter(entries, CAPACITY, Weight))
    }
}

impl TagMemory {
    pub(super) fn tags(&self, key: &Key) -> Arc<[Tag]> {
        self.0.get(key).unwrap_or_default()
    }

    pub(super) fn remember(&self, key: &Key, tags: impl Iterator<Item = Tag>) {
        let known = self.tags(key);
        let tags: Arc<[Tag]> = tags.collect();
        if *tags != *known {
            self.0.insert(key.clone(), tags);
        }
    }
}

impl fmt::Debug for TagMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagMemory")
            .field("keys", &self.0.len())
            .finish()
    }
}
