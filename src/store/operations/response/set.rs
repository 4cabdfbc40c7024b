//! The memory half: what the hash of a primary key holds, as a struct.

use bytes::Bytes;

use super::{
    Generation, Stamp,
    version::{Recency, Version},
};
use crate::store::{
    clock::Timestamp,
    memory::{Live, Weigh, heap},
};

/// Lists of `Vary` names that are kept per primary key.
pub(super) const MOST_VARY_LISTS: usize = 4;

/// All that is stored under one primary cache key, or the stamp of a tag.
#[derive(Debug, Default)]
pub(crate) struct ResponseSet {
    pub(super) generation: Option<Generation>,
    /// Fills under way, or lost with their process.
    fills: u64,
    /// When the last of their leases ends.
    lapse: Timestamp,
    /// The lists of names that `Vary` had, newest first.
    pub(super) vary: Vec<Box<str>>,
    /// Oldest first.
    pub(super) variants: Vec<StoredVariant>,
    /// Of a tag, which has nothing else.
    pub(super) stamp: Option<Stamp>,
}

#[derive(Debug)]
pub(super) struct StoredVariant {
    pub(super) variant: Box<str>,
    pub(super) version: Version,
    pub(super) recency: Recency,
    /// A buffer of its own, as long as it is: a slice would keep the one that it was read into.
    pub(super) head: Bytes,
    /// Likewise.
    pub(super) body: Bytes,
    pub(super) expires_at: Timestamp,
}

impl StoredVariant {
    /// Beside the struct itself.
    fn weight(&self) -> usize {
        heap(self.variant.len()) + self.head.weight() + self.body.weight()
    }
}

impl ResponseSet {
    pub(super) fn variant(&self, variant: &str, now: Timestamp) -> Option<&StoredVariant> {
        self.variants
            .iter()
            .find(|stored| &*stored.variant == variant && stored.expires_at > now)
    }

    /// One more fill is under way.
    pub(super) fn announce(&mut self, lapse: Timestamp, now: Timestamp) {
        self.forget_lapsed(now);
        self.fills += 1;
        self.lapse = self.lapse.max(lapse);
    }

    /// One of the fills has ended.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.forget_lapsed(now);
        self.fills = self.fills.saturating_sub(1);
        self.forget_lapsed(now);
    }

    fn forget_lapsed(&mut self, now: Timestamp) {
        if self.lapse <= now || self.fills == 0 {
            (self.fills, self.lapse) = (0, Timestamp::default());
        }
    }

    /// Adds a variant that is newest, with the list of names that leads to it, and lets the oldest
    /// ones go that there is no room for. `false`, and all is as it was, if there is none even so.
    pub(super) fn add(
        &mut self,
        new: StoredVariant,
        vary: &str,
        most_variants: usize,
        room: usize,
    ) -> bool {
        let alone = Self {
            generation: self.generation.clone(),
            vary: vec![vary.into()],
            variants: vec![new],
            ..Self::default()
        };
        let mut left = room.saturating_sub(alone.weight());
        if alone.weight() > room {
            return false;
        }
        let mut kept = alone.variants;
        self.variants
            .retain(|stored| stored.variant != kept[0].variant);
        // The newest of the others first.
        while kept.len() < most_variants
            && let Some(next) = self.variants.pop()
        {
            let weight = next.weight() + 2 * size_of::<StoredVariant>();
            if weight > left {
                break;
            }
            left -= weight;
            kept.push(next);
        }
        kept.reverse();
        self.variants = kept;
        let mut lists = alone.vary;
        for list in self.vary.drain(..) {
            let weight = heap(list.len()) + 2 * size_of::<Box<str>>();
            if *list != *vary && lists.len() < MOST_VARY_LISTS && weight <= left {
                left -= weight;
                lists.push(list);
            }
        }
        self.vary = lists;
        true
    }

    /// When the last variant and the last lease have ended.
    fn end(&self) -> Timestamp {
        let ends = self.variants.iter().map(|stored| stored.expires_at);
        ends.fold(self.lapse, Timestamp::max)
    }

    /// Lets the key live so long, and not at all once that is over.
    pub(super) fn expire(live: &mut Option<Live<Self>>, now: Timestamp) {
        if let Some(set) = live {
            set.expires_at = set.value.end();
        }
        live.take_if(|set| set.expires_at <= now);
    }
}

impl Weigh for ResponseSet {
    fn weight(&self) -> usize {
        let variants = self.variants.iter().map(StoredVariant::weight);
        let vary = self.vary.iter().map(|list| heap(list.len()));
        let generation = self.generation.as_ref();
        let spare = self.variants.capacity() - self.variants.len();
        spare * size_of::<StoredVariant>()
            + heap(self.vary.capacity() * size_of::<Box<str>>())
            + generation.map_or(0, |generation| generation.0.weight())
            + variants.sum::<usize>()
            + vary.sum::<usize>()
    }
}
