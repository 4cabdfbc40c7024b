//! What the resources are known to vary by.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use quick_cache::{Weighter, sync::Cache};

use super::variant;
use crate::store::{Key, heap};

/// Bytes that the lists of a layer may take.
const CAPACITY: u64 = 4 << 20;
/// Of an entry beside what is on the heap: both structs and the cache's share.
const OVERHEAD: usize = 128;
/// The lists that are remembered of a primary key.
const LISTS: usize = 4;

/// The lists of names that `Vary` had for a primary key, newest first.
pub(super) type VaryLists = Arc<[Box<str>]>;

/// The lists of each primary key, as far as this process knows them. The variants to look up are
/// guessed from them; a wrong guess costs a second round trip.
pub(super) struct VaryMemory {
    known: Cache<Key, VaryLists, Weight>,
    /// Of a key that nothing is known of: most responses vary by nothing.
    unknown: VaryLists,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, VaryLists> for Weight {
    fn weight(&self, key: &Key, lists: &VaryLists) -> u64 {
        let names: usize = lists.iter().map(|list| heap(list.len())).sum();
        // The slice stands behind the counts of its owners.
        let slice = heap(2 * size_of::<usize>() + size_of_val(&**lists));
        (OVERHEAD + heap(key.as_str().len()) + slice + names) as u64
    }
}

impl Default for VaryMemory {
    fn default() -> Self {
        let entries = CAPACITY as usize / (2 * OVERHEAD);
        Self {
            known: Cache::with_weighter(entries, CAPACITY, Weight),
            unknown: [Box::default()].into(),
        }
    }
}

impl VaryMemory {
    pub(super) fn lists(&self, key: &Key) -> VaryLists {
        self.known.get(key).unwrap_or_else(|| self.unknown.clone())
    }

    /// Remembers what the store has. Lists over the capacity are not remembered; the next lookup
    /// asks again.
    pub(super) fn remember(&self, key: &Key, lists: VaryLists) {
        self.known.insert(key.clone(), lists);
    }

    /// Puts the newest list first.
    pub(super) fn learn(&self, key: &Key, newest: &str) {
        let lists = self.lists(key);
        if lists.first().is_some_and(|first| &**first == newest) {
            return;
        }
        let older = lists.iter().filter(|list| &***list != newest).cloned();
        let lists = std::iter::once(newest.into()).chain(older).take(LISTS);
        self.remember(key, lists.collect());
    }

    /// The variant that `headers` select by the newest known list.
    pub(super) fn newest_variant(&self, key: &Key, headers: &HeaderMap) -> Box<str> {
        self.lists(key)
            .first()
            .and_then(|list| variant::selected(list, headers))
            .unwrap_or_default()
    }
}

impl fmt::Debug for VaryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaryMemory")
            .field("keys", &self.known.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Namespace, operations::response::key as key_of};

    fn key(n: usize) -> Key {
        key_of(&Namespace::default(), &format!("{n:032x}"))
    }

    #[test]
    fn the_newest_lists_are_remembered_once_each_and_newest_first() {
        let memory = VaryMemory::default();
        assert_eq!(&*memory.lists(&key(1)), &[Box::from("")]);
        for list in ["a", "b", "a", "c", "d", "e"] {
            memory.learn(&key(1), list);
        }
        let lists = memory.lists(&key(1));
        assert_eq!(
            lists.iter().map(|list| &**list).collect::<Vec<_>>(),
            ["e", "d", "c", "a"]
        );
        assert_eq!(&*memory.lists(&key(2)), &[Box::from("")]);
    }

    #[test]
    fn lists_of_any_length_are_bounded_by_their_real_bytes() {
        for length in [0, 1, 40, 5000] {
            let memory = VaryMemory::default();
            let list = "x".repeat(length);
            let mut real = 0;
            for n in 0..50_000 {
                memory.learn(&key(n), &list);
                memory.learn(&key(n), "y");
            }
            for (key, lists) in memory.known.iter() {
                let names = lists.iter().map(|list| heap(list.len())).sum::<usize>();
                real += heap(key.as_str().len()) + heap(16 + 16 * lists.len()) + names;
            }
            assert!(real as u64 <= CAPACITY, "{length}: {real}");
            assert!(memory.known.len() > 100, "{length}");
        }
    }
}
