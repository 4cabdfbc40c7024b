//! Slots in order of use: a slab whose entries are in one of two linked lists.

use super::live::Live;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// An entry of a shard.
#[derive(Debug)]
pub(super) struct Slot<V> {
    pub(super) key: Box<str>,
    pub(super) hash: u64,
    /// Empty while an update is under way.
    pub(super) live: Option<Live<V>>,
    pub(super) weight: usize,
    pub(super) region: Region,
    /// Asked for again since it came, or since it was passed over as a victim.
    pub(super) used: bool,
    newer: u32,
    older: u32,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    /// Newcomers, for a while.
    Window,
    /// What has proved itself, or found room.
    Main,
}

/// A list from the entry that was used last to the one that was not used for longest.
#[derive(Debug)]
pub(super) struct List {
    newest: u32,
    pub(super) oldest: u32,
    pub(super) len: usize,
    pub(super) weight: usize,
}

impl List {
    fn new() -> Self {
        Self {
            newest: NONE,
            oldest: NONE,
            len: 0,
            weight: 0,
        }
    }
}

/// The entries of a shard. Their indices stay until [`compact`](Self::compact).
#[derive(Debug)]
pub(super) struct Slots<V> {
    slots: Vec<Option<Slot<V>>>,
    free: Vec<u32>,
    pub(super) window: List,
    pub(super) main: List,
}

impl<V> Slots<V> {
    /// What an entry takes of the slab: a quarter is spare when it grows, and so is a part of
    /// the list of free places.
    pub(super) const OVERHEAD: usize = size_of::<Option<Slot<V>>>() * 5 / 4 + 8;

    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            window: List::new(),
            main: List::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.window.len + self.main.len
    }

    pub(super) fn get(&self, index: u32) -> Option<&Slot<V>> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot<V>> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The indices in use.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + use<V> {
        0..self.slots.len() as u32
    }

    /// Adds a newcomer. `None` when there are as many as can be counted.
    pub(super) fn insert(
        &mut self,
        key: Box<str>,
        hash: u64,
        live: Live<V>,
        weight: usize,
    ) -> Option<u32> {
        let slot = Slot {
            key,
            hash,
            live: Some(live),
            weight,
            region: Region::Window,
            used: false,
            newer: NONE,
            older: NONE,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                if index == NONE {
                    return None;
                }
                if self.slots.len() == self.slots.capacity() {
                    // Not by doubling: the spare room counts as the entries'.
                    self.slots.reserve_exact((self.slots.len() / 4).max(4));
                }
                self.slots.push(None);
                index
            }
        };
        self.slots[index as usize] = Some(slot);
        self.link(index, Region::Window);
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Slot<V>> {
        self.unlink(index);
        let slot = self.slots.get_mut(index as usize)?.take();
        if slot.is_some() {
            self.free.push(index);
        }
        slot
    }

    /// Makes it the one that was used last in `region`.
    pub(super) fn move_to(&mut self, index: u32, region: Region) {
        let is_there = self.get(index).is_some_and(|slot| slot.region == region);
        if is_there && self.list(region).newest == index {
            return;
        }
        self.unlink(index);
        self.link(index, region);
    }

    pub(super) fn reweigh(&mut self, index: u32, weight: usize) {
        let Some(slot) = self.get_mut(index) else {
            return;
        };
        let (region, before) = (slot.region, std::mem::replace(&mut slot.weight, weight));
        let list = self.list(region);
        list.weight = list.weight - before + weight;
    }

    /// The entry that was used next after the one at `index`.
    pub(super) fn newer(&self, index: u32) -> u32 {
        self.get(index).map_or(NONE, |slot| slot.newer)
    }

    /// Gives up the room of what was removed: all slots, those used longest ago first.
    pub(super) fn compact(&mut self) -> Option<Vec<Slot<V>>> {
        if self.len() * 2 >= self.slots.len() {
            return None;
        }
        let mut slots = Vec::with_capacity(self.len());
        for oldest in [self.main.oldest, self.window.oldest] {
            let mut index = oldest;
            while let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::take) {
                index = slot.newer;
                slots.push(slot);
            }
        }
        *self = Self::new();
        Some(slots)
    }

    fn list(&mut self, region: Region) -> &mut List {
        match region {
            Region::Window => &mut self.window,
            Region::Main => &mut self.main,
        }
    }

    fn link(&mut self, index: u32, region: Region) {
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let list = match region {
            Region::Window => &mut self.window,
            Region::Main => &mut self.main,
        };
        (slot.region, slot.newer, slot.older) = (region, NONE, list.newest);
        list.len += 1;
        list.weight += slot.weight;
        let before = std::mem::replace(&mut list.newest, index);
        if before == NONE {
            list.oldest = index;
        } else if let Some(before) = self.get_mut(before) {
            before.newer = index;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.get(index) else { return };
        let (region, newer, older, weight) = (slot.region, slot.newer, slot.older, slot.weight);
        if let Some(slot) = self.get_mut(newer) {
            slot.older = older;
        }
        if let Some(slot) = self.get_mut(older) {
            slot.newer = newer;
        }
        let list = self.list(region);
        list.len -= 1;
        list.weight -= weight;
        if list.newest == index {
            list.newest = older;
        }
        if list.oldest == index {
            list.oldest = newer;
        }
    }
}
