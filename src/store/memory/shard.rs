//! A part of a table under one lock, and who leaves it when memory is full.
//!
//! As in W-TinyLFU: a newcomer enters a small window. What leaves the window goes into the main
//! part if there is room; if there is none, it has to be asked for more often than what would
//! be pushed out of there. Keys that are seen once fill the window and no more.

use hashbrown::{HashTable, hash_table::Entry};

use super::{
    budget::Budget,
    list::{NONE, Region, Slots},
    live::Live,
    sketch::Sketch,
    walk::{POSITIONS, position},
    weigh::{Weigh, heap},
};
use crate::store::{clock::Timestamp, error::StoreError, key::Key};

/// Whether a change shows that its key is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Use,
    /// It ends what the same request has begun.
    Completion,
}

#[derive(Debug)]
pub(super) struct Shard<V> {
    index: HashTable<u32>,
    slots: Slots<V>,
    sketch: Sketch,
}

/// How many of the longest unused are looked at for one to push out.
const VICTIMS: usize = 8;
/// How often a key must have been seen to push out another, if not in the window.
const RETURNED: u8 = 3;

impl<V: Weigh> Shard<V> {
    /// Beside the key's and the value's own bytes: the slot, and the index at its emptiest.
    pub(super) const OVERHEAD: usize = Slots::<V>::OVERHEAD + 12;

    /// What an entry weighs.
    pub(super) fn weight(key: &Key, value: &V) -> usize {
        Self::OVERHEAD + heap(key.as_str().len()) + value.weight()
    }

    pub(super) fn new(sketch: Sketch) -> Self {
        Self {
            index: HashTable::new(),
            slots: Slots::new(),
            sketch,
        }
    }

    /// Entries and their weight.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let weight = self.slots.window.weight + self.slots.main.weight;
        (self.slots.len(), weight)
    }

    /// As [`shard_keys`](super::walk::Walk::shard_keys) of this shard.
    pub(super) fn keys(
        &self,
        from: u64,
        count: usize,
        now: Timestamp,
        f: &mut dyn FnMut(&str),
    ) -> Option<u64> {
        // Hashes are spread evenly.
        let parts = self.slots.len() / count.max(1) + 1;
        let end = from.saturating_add(POSITIONS / parts as u64).min(POSITIONS);
        let indices = self.slots.indices();
        let slots = indices.filter_map(|index| self.slots.get(index));
        let slots = slots.filter(|slot| (from..end).contains(&position(slot.hash)));
        let lives = |live: &Live<V>| live.expires_at > now;
        for slot in slots.filter(|slot| slot.live.as_ref().is_some_and(lives)) {
            f(&slot.key);
        }
        (end < POSITIONS).then_some(end)
    }

    fn find(&self, key: &Key, hash: u64) -> Option<u32> {
        let slots = &self.slots;
        let same = |index: &u32| {
            slots
                .get(*index)
                .is_some_and(|slot| *slot.key == *key.as_str())
        };
        self.index.find(hash, same).copied()
    }

    /// As [`find`](Self::find), and notes that it was used.
    fn find_to_use(&mut self, key: &Key, hash: u64) -> Option<u32> {
        let index = self.find(key, hash)?;
        self.sketch.count(hash);
        let slot = self.slots.get_mut(index)?;
        slot.used = true;
        let region = slot.region;
        self.slots.move_to(index, region);
        Some(index)
    }

    pub(super) fn get(&mut self, key: &Key, hash: u64, now: Timestamp) -> Option<&Live<V>> {
        let index = self.find_to_use(key, hash)?;
        let live = self.slots.get(index)?.live.as_ref();
        live.filter(|live| live.expires_at > now)
    }

    pub(super) fn update<R>(
        &mut self,
        (key, hash): (&Key, u64),
        touch: Touch,
        now: Timestamp,
        budget: &Budget,
        f: impl FnOnce(&mut Option<Live<V>>) -> R,
    ) -> Result<R, StoreError> {
        let index = match touch {
            Touch::Use => self.find_to_use(key, hash),
            Touch::Completion => self.find(key, hash),
        };
        let mut live = self.take_at(index, now);
        let result = f(&mut live);
        self.put_at(index, (key, hash), now, budget, live)
            .map(|()| result)
    }

    /// Takes the live value out; its slot stays for [`put`](Self::put).
    pub(super) fn take(&mut self, key: &Key, hash: u64, now: Timestamp) -> Option<Live<V>> {
        let index = self.find_to_use(key, hash);
        self.take_at(index, now)
    }

    fn take_at(&mut self, index: Option<u32>, now: Timestamp) -> Option<Live<V>> {
        let live = self.slots.get_mut(index?)?.live.take();
        live.filter(|live| live.expires_at > now)
    }

    pub(super) fn put(
        &mut self,
        key: &Key,
        hash: u64,
        now: Timestamp,
        budget: &Budget,
        live: Option<Live<V>>,
    ) -> Result<(), StoreError> {
        let index = self.find(key, hash);
        self.put_at(index, (key, hash), now, budget, live)
    }

    /// As [`put`](Self::put), where it is known whether the key has a slot.
    fn put_at(
        &mut self,
        index: Option<u32>,
        (key, hash): (&Key, u64),
        now: Timestamp,
        budget: &Budget,
        live: Option<Live<V>>,
    ) -> Result<(), StoreError> {
        let drop_slot = |shard: &mut Self| {
            if let Some(index) = index {
                shard.remove(index, budget);
            }
        };
        let Some(live) = live.filter(|live| live.expires_at > now) else {
            drop_slot(self);
            return Ok(());
        };
        let weight = Self::weight(key, &live.value);
        if weight > budget.largest {
            drop_slot(self);
            return Err(StoreError::NoRoom);
        }
        match index {
            Some(index) => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.live = Some(live);
                    let before = slot.weight;
                    if before != weight {
                        budget.exchange(before, weight);
                        self.slots.reweigh(index, weight);
                    }
                }
            }
            None => {
                self.sketch.count(hash);
                let inserted = self.slots.insert(key.as_str().into(), hash, live, weight);
                let index = inserted.ok_or(StoreError::NoRoom)?;
                self.enter(hash, index);
                budget.exchange(0, weight);
            }
        }
        // While there is room, all may stay.
        while self.window_is_full(budget) && !budget.is_exceeded() {
            self.slots.move_to(self.slots.window.oldest, Region::Main);
        }
        Ok(())
    }

    fn enter(&mut self, hash: u64, index: u32) {
        let slots = &self.slots;
        let hash_of = |index: &u32| slots.get(*index).map_or(0, |slot| slot.hash);
        self.index.insert_unique(hash, index, hash_of);
    }

    fn remove(&mut self, index: u32, budget: &Budget) {
        let Some(slot) = self.slots.remove(index) else {
            return;
        };
        budget.exchange(slot.weight, 0);
        let slots = &self.slots;
        let hash_of = |index: &u32| slots.get(*index).map_or(slot.hash, |slot| slot.hash);
        if let Entry::Occupied(entry) = self.index.entry(slot.hash, |it| *it == index, hash_of) {
            entry.remove();
        }
    }

    /// Whether a newcomer is to leave the window. The last that came never is.
    fn window_is_full(&self, budget: &Budget) -> bool {
        self.slots.window.len > 1 && self.slots.window.weight > budget.window
    }

    /// Lets the window's oldest newcomer contend for a place, and drops who loses. `false` when
    /// none has to leave the window.
    pub(super) fn contend(&mut self, now: Timestamp, budget: &Budget) -> bool {
        if !self.window_is_full(budget) {
            return false;
        }
        let newcomer = self.slots.window.oldest;
        match self.victim(now) {
            Some(victim) if self.is_spent(victim, now) => self.remove(victim, budget),
            Some(victim) if self.prevails(newcomer, victim, now) => {
                self.remove(victim, budget);
                self.slots.move_to(newcomer, Region::Main);
            }
            _ => self.remove(newcomer, budget),
        }
        true
    }

    /// Drops the entry that is missed least. `false` when there is none but the last newcomer.
    pub(super) fn evict(&mut self, now: Timestamp, budget: &Budget) -> bool {
        let victim = match self.victim(now) {
            Some(victim) => victim,
            None if self.slots.window.len > 1 => self.slots.window.oldest,
            None => return false,
        };
        self.remove(victim, budget);
        true
    }

    /// Who is missed least of those in the main part that were not used for longest.
    fn victim(&mut self, now: Timestamp) -> Option<u32> {
        let mut chosen: Option<(_, u32)> = None;
        let mut index = self.slots.main.oldest;
        for _ in 0..VICTIMS.min(self.slots.main.len) {
            let newer = self.slots.newer(index);
            if self.is_spent(index, now) {
                return Some(index);
            }
            let rank = self.rank(index, now);
            if chosen.is_none_or(|(best, _)| rank < best) {
                chosen = Some((rank, index));
            }
            // The next look begins behind it.
            if rank.0 {
                self.slots.move_to(index, Region::Main);
            }
            index = newer;
            if index == NONE {
                break;
            }
        }
        chosen.map(|(_, index)| index)
    }

    fn is_spent(&self, index: u32, now: Timestamp) -> bool {
        let live = self.slots.get(index).and_then(|slot| slot.live.as_ref());
        live.is_none_or(|live| live.expires_at <= now)
    }

    /// The lower, the sooner it goes.
    fn rank(&self, index: u32, now: Timestamp) -> (bool, bool, u8) {
        self.slots.get(index).map_or((false, false, 0), |slot| {
            let live = slot.live.as_ref();
            let worthy = live.is_some_and(|live| live.value.is_worth_keeping(now));
            (worthy, slot.used, self.sketch.estimate(slot.hash))
        })
    }

    /// Whether the newcomer takes the place of the other. A key that was seen once never does,
    /// however long ago the other was asked for.
    fn prevails(&mut self, newcomer: u32, other: u32, now: Timestamp) -> bool {
        let (worthy, used, frequency) = self.rank(newcomer, now);
        let (others_worth, was_used, others_frequency) = self.rank(other, now);
        if worthy != others_worth {
            return worthy;
        }
        if frequency <= others_frequency || !(used || frequency >= RETURNED) {
            return false;
        }
        if was_used {
            // A second chance.
            if let Some(slot) = self.slots.get_mut(other) {
                slot.used = false;
            }
            self.slots.move_to(other, Region::Main);
        }
        !was_used
    }

    /// Drops what has expired, and the room that it took.
    pub(super) fn reclaim(&mut self, now: Timestamp, budget: &Budget) {
        for index in self.slots.indices() {
            if self.slots.get(index).is_some() && self.is_spent(index, now) {
                self.remove(index, budget);
            }
        }
        let Some(slots) = self.slots.compact() else {
            return;
        };
        self.index = HashTable::with_capacity(slots.len());
        for slot in slots {
            let Some(live) = slot.live else { continue };
            let inserted = self.slots.insert(slot.key, slot.hash, live, slot.weight);
            let Some(index) = inserted else { continue };
            self.enter(slot.hash, index);
            if let Some(entered) = self.slots.get_mut(index) {
                entered.used = slot.used;
            }
            if slot.region == Region::Main {
                self.slots.move_to(index, Region::Main);
            }
        }
    }
}
