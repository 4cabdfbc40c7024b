//! A bounded map with an expiry per entry: what each kind of data lives in on embedded memory.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    budget::Budget,
    live::Live,
    shard::{Shard, Touch},
    sketch::Sketch,
    walk::Walk,
    weigh::Weigh,
};
use crate::store::{clock::Timestamp, error::StoreError, key::Key};

/// A sharded map from [`Key`] to `V` that stays within a budget of bytes.
///
/// An expired entry is never seen and is reclaimed by [`reclaim`](Self::reclaim), which the
/// store's sweeper calls. The budget is one for all shards. When it is exceeded, what is asked
/// for least goes first, as [`shard`](super::shard) says: a flood of keys that are seen once
/// pushes out nothing that is in use.
#[derive(Debug)]
pub(crate) struct Table<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
    budget: Budget,
    /// The shard that gives up something next.
    turn: AtomicUsize,
}

pub(super) const SHARDS: usize = 16;
/// The share of the budget that goes to counting how often keys are asked for.
const SKETCH: usize = 32;
/// The share of it that a single entry may take.
const LARGEST: usize = 4;
/// The share of it that newcomers get while it is used up.
const WINDOW: usize = 16;

impl<V: Weigh> Table<V> {
    pub(crate) fn with_budget(bytes: usize) -> Self {
        let sketch = || Sketch::within(bytes / SKETCH / SHARDS);
        let total = bytes.saturating_sub(sketch().bytes() * SHARDS);
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(sketch())))
                .collect(),
            hasher: RandomState::new(),
            budget: Budget {
                total,
                held: AtomicUsize::new(0),
                largest: bytes / LARGEST,
                window: total / WINDOW / SHARDS,
            },
            turn: AtomicUsize::new(0),
        }
    }

    /// The heaviest value that an entry with a key of usual length may hold: about a quarter
    /// of the budget.
    pub(crate) fn largest(&self) -> usize {
        let overhead = Shard::<V>::OVERHEAD + 256;
        // Whole pages, at the allocator's pleasure.
        self.budget.largest.saturating_sub(overhead + 4096)
    }

    /// Whether a single entry may take as much as this one does.
    pub(crate) fn has_room_for(&self, key: &Key, value: &V) -> bool {
        Shard::weight(key, value) <= self.budget.largest
    }

    /// Shows the entry of `key` to `f`, if it is there and has not expired.
    pub(crate) fn get<R>(
        &self,
        key: &Key,
        now: Timestamp,
        f: impl FnOnce(&Live<V>) -> R,
    ) -> Option<R> {
        let hash = self.hasher.hash_one(key);
        let mut shard = lock(&self.shards[shard_of(hash)]);
        shard.get(key, hash, now).map(f)
    }

    /// The bytes that the entries take, and those that they may.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.budget.held.load(Ordering::Relaxed), self.budget.total)
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
        self.change(key, Touch::Use, now, f)
    }

    /// As [`update`](Self::update), of an entry that the same request has put there: it ends
    /// what that began, and does not show that the key is in use.
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub(crate) fn complete<R>(
        &self,
        key: &Key,
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        self.change(key, Touch::Completion, now, f)
    }

    fn change<R>(
        &self,
        key: &Key,
        touch: Touch,
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        let hash = self.hasher.hash_one(key);
        let shard = shard_of(hash);
        let result = lock(&self.shards[shard]).update((key, hash), touch, now, &self.budget, f);
        self.settle([shard], now);
        result
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
        let one = (first, self.hasher.hash_one(first));
        let two = (second, self.hasher.hash_one(second));
        let (a, b) = (shard_of(one.1), shard_of(two.1));
        let result = self.change_pair((a, one), (b, two), now, f);
        self.settle([a, b], now);
        result
    }

    fn change_pair<R>(
        &self,
        (a, one): (usize, (&Key, u64)),
        (b, two): (usize, (&Key, u64)),
        now: Timestamp,
        f: impl FnOnce(&mut Option<Live<V>>, &mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        let budget = &self.budget;
        if a == b {
            let mut shard = lock(&self.shards[a]);
            let mut other = shard.take(two.0, two.1, now);
            let result = shard.update(one, Touch::Use, now, budget, |live| f(live, &mut other));
            shard.put(two.0, two.1, now, budget, other)?;
            return result;
        }
        // Always in the shards' order, so that two pairs cannot wait for each other.
        let (low, high) = (lock(&self.shards[a.min(b)]), lock(&self.shards[a.max(b)]));
        let (mut first, mut second) = if a < b { (low, high) } else { (high, low) };
        first.update(one, Touch::Use, now, budget, |x| {
            second.update(two, Touch::Use, now, budget, |y| f(x, y))
        })?
    }

    /// As [`update`](Self::update), of any number of entries in one step. The keys must differ.
    pub(crate) fn update_each<R>(
        &self,
        keys: &[Key],
        now: Timestamp,
        f: impl FnOnce(&mut [Option<Live<V>>]) -> R,
    ) -> Result<R, StoreError> {
        let hashed: Vec<_> = (keys.iter())
            .map(|key| (key, self.hasher.hash_one(key)))
            .collect();
        let mut shards: Vec<_> = hashed.iter().map(|(_, hash)| shard_of(*hash)).collect();
        shards.sort_unstable();
        shards.dedup();
        // Always in the shards' order, so that no two updates can wait for each other.
        let mut locked: Vec<_> = (shards.iter())
            .map(|shard| (*shard, lock(&self.shards[*shard])))
            .collect();
        let mut each = |f: &mut dyn FnMut(&mut Shard<V>, &Key, u64)| {
            for (key, hash) in &hashed {
                let held = locked.iter_mut().find(|(at, _)| *at == shard_of(*hash));
                if let Some((_, shard)) = held {
                    f(shard, key, *hash);
                }
            }
        };
        let mut lives = Vec::with_capacity(keys.len());
        each(&mut |shard, key, hash| lives.push(shard.take(key, hash, now)));
        let result = f(&mut lives);
        let (mut lives, mut stored) = (lives.into_iter(), Ok(()));
        each(&mut |shard, key, hash| {
            let live = lives.next().flatten();
            let put = shard.put(key, hash, now, &self.budget, live);
            stored = std::mem::replace(&mut stored, Ok(())).and(put);
        });
        drop(locked);
        self.settle(shards, now);
        stored.map(|()| result)
    }

    /// Makes room again after a write to these shards, one lock at a time: first their own
    /// newcomers, and if that is not enough, whatever is missed least.
    fn settle(&self, written: impl IntoIterator<Item = usize>, now: Timestamp) {
        for shard in written {
            while self.budget.is_exceeded() && lock(&self.shards[shard]).contend(now, &self.budget)
            {
            }
        }
        let mut empty = 0;
        while self.budget.is_exceeded() && empty < SHARDS {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let evicted = lock(&self.shards[turn]).evict(now, &self.budget);
            empty = if evicted { 0 } else { empty + 1 };
        }
    }

    /// Drops what has expired.
    pub(crate) fn reclaim(&self, now: Timestamp) {
        for shard in &self.shards {
            lock(shard).reclaim(now, &self.budget);
        }
    }

    /// The entries held, expired ones included until they are reclaimed, and their weight.
    #[cfg(test)]
    pub(in crate::store) fn usage(&self) -> (usize, usize) {
        let usage = |shard: &Mutex<Shard<V>>| lock(shard).usage();
        let sum = |(a, b), (c, d)| (a + c, b + d);
        let usage = self.shards.iter().map(usage).fold((0, 0), sum);
        assert_eq!(usage.1, self.budget.held.load(Ordering::Relaxed));
        usage
    }
}

impl<V: Weigh> Walk for Table<V> {
    fn shard_keys(
        &self,
        shard: usize,
        from: u64,
        count: usize,
        now: Timestamp,
        f: &mut dyn FnMut(&str),
    ) -> Option<u64> {
        lock(self.shards.get(shard)?).keys(from, count, now, f)
    }
}

fn shard_of(hash: u64) -> usize {
    // The map inside uses the low bits and the high seven; take others.
    (hash >> 32) as usize % SHARDS
}

/// A panic inside a closure leaves the shard consistent, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has the table of the entries `E`.
pub(crate) trait Holds<E> {
    fn table(&self) -> &Table<E>;
}

#[cfg(test)]
mod tests;
