//! What could not be stored lately: requests for it do not wait for one another.

use std::{fmt, time::Duration};

use quick_cache::{Weighter, sync::Cache};

use crate::store::{Key, Timestamp, heap};

/// Bytes that the keys of a layer may take.
const CAPACITY: u64 = 2 << 20;
/// Of an entry beside its key's text: both structs and the cache's share.
const OVERHEAD: usize = 128;
/// For so long after the last response that was not stored.
const TTL: Duration = Duration::from_secs(60);

/// The primary keys whose last response was not to be stored, and until when that counts.
pub(crate) struct Uncacheable(Cache<Key, Timestamp, Weight>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Timestamp> for Weight {
    fn weight(&self, key: &Key, _: &Timestamp) -> u64 {
        (OVERHEAD + heap(key.as_str().len())) as u64
    }
}

impl Default for Uncacheable {
    fn default() -> Self {
        let entries = CAPACITY as usize / OVERHEAD;
        Self(Cache::with_weighter(entries, CAPACITY, Weight))
    }
}

impl Uncacheable {
    pub(crate) fn contains(&self, key: &Key) -> bool {
        let Some(until) = self.0.get(key) else {
            return false;
        };
        let counts = Timestamp::now() < until;
        if !counts {
            self.0.remove(key);
        }
        counts
    }

    pub(crate) fn remember(&self, key: &Key) {
        let until = Timestamp::now().saturating_add(TTL);
        self.0.insert(key.clone(), until);
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }
}

impl fmt::Debug for Uncacheable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uncacheable")
            .field("keys", &self.0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Namespace, operations::response::key as key_of};

    fn key(n: usize) -> Key {
        key_of(&Namespace::default(), &format!("{n:032x}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_remembered_for_a_minute_or_until_it_is_forgotten() {
        let uncacheable = Uncacheable::default();
        uncacheable.remember(&key(1));
        uncacheable.remember(&key(2));
        uncacheable.forget(&key(2));
        assert!(uncacheable.contains(&key(1)) && !uncacheable.contains(&key(2)));
        tokio::time::advance(TTL).await;
        assert!(!uncacheable.contains(&key(1)));
        assert_eq!(uncacheable.0.len(), 0);
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let uncacheable = Uncacheable::default();
        for n in 0..100_000 {
            uncacheable.remember(&key(n));
        }
        assert!(uncacheable.0.weight() <= CAPACITY);
        assert!(uncacheable.0.len() > 1000);
    }
}
