//! A bounded map with an expiry per entry: what each kind of data lives in on embedded memory.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indexmap::IndexMap;

use crate::store::{clock::Timestamp, error::StoreError, namespace::Key};

/// What a value takes of its table's budget.
pub(crate) trait Weigh {
    /// Bytes on the heap, roughly.
    fn weight(&self) -> usize;
}

/// A value and the moment from which it is as good as absent.
#[derive(Debug)]
pub(crate) struct Live<V> {
    pub(crate) value: V,
    pub(crate) expires_at: Timestamp,
}

/// A sharded map from [`Key`] to `V` that stays within a budget of bytes.
///
/// An expired entry is never seen and is reclaimed by [`reclaim`](Self::reclaim), which the
/// store's sweeper calls. When a shard is over its share of the budget, it drops expired entries
/// and then the least recently used of a random few, as Redis' `allkeys-lru` does.
#[derive(Debug)]
pub(crate) struct Table<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
    budget: usize,
}

#[derive(Debug)]
struct Shard<V> {
    entries: IndexMap<Key, Slot<V>, RandomState>,
    weight: usize,
    budget: usize,
    /// Counts uses: the clock of the eviction order.
    tick: u64,
}

#[derive(Debug)]
struct Slot<V> {
    live: Option<Live<V>>,
    weight: usize,
    used: u64,
}

const SHARDS: usize = 16;
/// Beside the key's and the value's own bytes: the slot, the index and the allocator's share.
const OVERHEAD: usize = 96;
const EVICTION_SAMPLES: usize = 8;

impl<V: Weigh> Table<V> {
    pub(crate) fn with_budget(bytes: usize) -> Self {
        let hasher = RandomState::new();
        let shard = || {
            Mutex::new(Shard {
                entries: IndexMap::with_hasher(hasher.clone()),
                weight: 0,
                budget: bytes / SHARDS,
                tick: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: hasher.clone(),
            budget: bytes,
        }
    }

    /// The heaviest value that an entry with a key of usual length may hold.
    pub(crate) fn largest(&self) -> usize {
        (self.budget / SHARDS).saturating_sub(OVERHEAD + 128)
    }

    /// Shows the entry of `key` to `f`, if it is there and has not expired.
    pub(crate) fn get<R>(
        &self,
        key: &Key,
        now: Timestamp,
        f: impl FnOnce(&Live<V>) -> R,
    ) -> Option<R> {
        let mut shard = self.lock(key);
        shard.tick += 1;
        let tick = shard.tick;
        let slot = shard.entries.get_mut(key)?;
        let live = slot.live.as_ref().filter(|live| live.expires_at > now)?;
        slot.used = tick;
        Some(f(live))
    }

    /// Lets `f` change the entry of `key`, atomically: it sees `None` for an absent or expired
    /// entry and leaves what is to be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRoom`] when what `f` leaves is over what a single entry may take. It is
    /// not kept, and neither is what it replaces.
    pub(crate) fn update<R>(
        &self,
        key: &Key,
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        self.lock(key).update(key, now, f)
    }

    /// As [`update`](Self::update), of two entries in one step. The keys must differ.
    pub(crate) fn update_pair<R>(
        &self,
        first: &Key,
        second: &Key,
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>, &mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        debug_assert_ne!(first, second, "a pair of one key");
        let (a, b) = (self.shard_of(first), self.shard_of(second));
        if a == b {
            let mut shard = lock(&self.shards[a]);
            let mut other = shard.take(second, now);
            let result = shard.update(first, now, |one| f(one, &mut other));
            shard.put(second, now, other)?;
            return result;
        }
        // Always in the shards' order, so that two pairs cannot wait for each other.
        let (low, high) = (lock(&self.shards[a.min(b)]), lock(&self.shards[a.max(b)]));
        let (mut one, mut other) = if a < b { (low, high) } else { (high, low) };
        one.update(first, now, |x| other.update(second, now, |y| f(x, y)))?
    }

    /// Drops what has expired.
    pub(crate) fn reclaim(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut freed = 0;
            shard.entries.retain(|_, slot| {
                let keep = slot.live.as_ref().is_some_and(|live| live.expires_at > now);
                freed += if keep { 0 } else { slot.weight };
                keep
            });
            shard.weight -= freed;
            let spare = shard.entries.capacity() / 4;
            if shard.entries.len() < spare {
                shard.entries.shrink_to(spare);
            }
        }
    }

    /// The entries held, expired ones included until they are reclaimed, and their weight.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let usage = |shard: &Mutex<Shard<V>>| {
            let shard = lock(shard);
            (shard.entries.len(), shard.weight)
        };
        let sum = |(a, b), (c, d)| (a + c, b + d);
        self.shards.iter().map(usage).fold((0, 0), sum)
    }

    fn shard_of(&self, key: &Key) -> usize {
        // The map inside uses the low bits and the high seven; take others.
        (self.hasher.hash_one(key) >> 32) as usize % SHARDS
    }

    fn lock(&self, key: &Key) -> MutexGuard<'_, Shard<V>> {
        lock(&self.shards[self.shard_of(key)])
    }
}

/// A panic inside a closure leaves the shard consistent, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Weigh> Shard<V> {
    fn update<R>(
        &mut self,
        key: &Key,
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        let mut live = self.take(key, now);
        let result = f(&mut live);
        self.put(key, now, live).map(|()| result)
    }

    /// Takes the live value out; its slot stays for [`put`](Self::put).
    fn take(&mut self, key: &Key, now: Timestamp) -> Option<Live<V>> {
        let slot = self.entries.get_mut(key)?;
        slot.live.take().filter(|live| live.expires_at > now)
    }

    fn put(&mut self, key: &Key, now: Timestamp, live: Option<Live<V>>) -> Result<(), StoreError> {
        let weigh = |live: &Live<V>| OVERHEAD + key.as_str().len() + live.value.weight();
        // What would push out all others and still not fit is not kept.
        let fits = live.as_ref().is_none_or(|live| weigh(live) <= self.budget);
        let keep = |live: &Live<V>| live.expires_at > now && fits;
        let Some(live) = live.filter(keep) else {
            if let Some(slot) = self.entries.swap_remove(key) {
                self.weight -= slot.weight;
            }
            return if fits {
                Ok(())
            } else {
                Err(StoreError::NoRoom)
            };
        };
        self.tick += 1;
        let weight = weigh(&live);
        let slot = Slot {
            live: Some(live),
            weight,
            used: self.tick,
        };
        if let Some(place) = self.entries.get_mut(key) {
            self.weight -= std::mem::replace(place, slot).weight;
        } else {
            self.entries.insert(key.clone(), slot);
        }
        self.weight += weight;
        while self.weight > self.budget && !self.entries.is_empty() {
            self.evict(now);
        }
        Ok(())
    }

    fn evict(&mut self, now: Timestamp) {
        let len = self.entries.len();
        // Consecutive indices from a start that walks on: `swap_remove` keeps them shuffled.
        let start = (self.tick as usize).wrapping_mul(0x9E37_79B9) % len;
        let victim = (0..EVICTION_SAMPLES.min(len))
            .map(|step| (start + step) % len)
            .min_by_key(|&index| {
                let slot = &self.entries[index];
                let live = slot.live.as_ref().is_some_and(|live| live.expires_at > now);
                (live, slot.used)
            })
            .unwrap_or(start);
        if let Some((_, slot)) = self.entries.swap_remove_index(victim) {
            self.weight -= slot.weight;
        }
    }
}

/// Makes `live` expire `ttl` after `now`, creating it with `value` where it is absent.
pub(crate) fn replace<V>(live: &mut Option<Live<V>>, value: V, now: Timestamp, ttl: Duration) {
    *live = Some(Live {
        value,
        expires_at: now.saturating_add(ttl),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::namespace::Namespace;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const LATER: Timestamp = Timestamp::from_micros(2_000_000);

    fn key(name: &str) -> Key {
        Namespace::default().key(format_args!("{name}"))
    }

    fn set(
        table: &Table<usize>,
        name: &str,
        value: usize,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        table.update(&key(name), NOW, |live| {
            *live = Some(Live { value, expires_at });
        })
    }

    #[test]
    fn an_expired_entry_is_never_seen_and_is_reclaimed() {
        let table = Table::with_budget(1 << 20);
        set(&table, "a", 1, LATER).unwrap();
        assert_eq!(table.get(&key("a"), NOW, |live| live.value), Some(1));
        assert_eq!(table.get(&key("a"), LATER, |live| live.value), None);
        table
            .update(&key("a"), LATER, |live| assert!(live.is_none()))
            .unwrap();
        set(&table, "b", 1, LATER).unwrap();
        table.reclaim(LATER);
        assert_eq!(table.usage(), (0, 0));
    }

    #[test]
    fn a_pair_is_changed_in_one_step_on_one_shard_and_on_two() {
        let table = Table::with_budget(1 << 20);
        for n in 0..64 {
            let (a, b) = (key(&format!("a{n}")), key(&format!("b{n}")));
            table
                .update(&a, NOW, |live| {
                    *live = Some(Live {
                        value: n,
                        expires_at: LATER,
                    });
                })
                .unwrap();
            table
                .update_pair(&a, &b, NOW, |from, to| *to = from.take())
                .unwrap();
            assert_eq!(table.get(&a, NOW, |live| live.value), None);
            assert_eq!(table.get(&b, NOW, |live| live.value), Some(n));
        }
    }

    #[test]
    fn the_budget_holds_and_what_was_used_last_stays() {
        let table = Table::with_budget(SHARDS * 4_000);
        for n in 0..10_000 {
            set(&table, "hot", 10, LATER).unwrap();
            set(&table, &format!("cold{n}"), 10, LATER).unwrap();
        }
        let (_, weight) = table.usage();
        assert!(
            weight <= SHARDS * 4_000 && weight > SHARDS * 2_000,
            "{weight}"
        );
        assert_eq!(table.get(&key("hot"), NOW, |live| live.value), Some(10));
    }

    #[test]
    fn a_value_over_the_budget_is_an_error_to_its_writer_and_pushes_no_other_out() {
        let table = Table::with_budget(SHARDS * 1_000);
        for n in 0..SHARDS {
            set(&table, &format!("small{n}"), 10, LATER).unwrap();
        }
        let before = table.usage();
        set(&table, "big", 10, LATER).unwrap();
        for n in 0..64 {
            let kept = set(&table, &format!("big{n}"), 5_000, LATER);
            assert!(matches!(kept, Err(StoreError::NoRoom)));
        }
        assert!(set(&table, "big", 5_000, LATER).is_err());
        assert_eq!(table.get(&key("big"), NOW, |live| live.value), None);
        assert_eq!(table.usage(), before);
    }
}
