//! The invalidations that the store has taken in the last hour.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::store::{Key, Timestamp};

/// How many keys are remembered, pending and taken ones each.
pub(super) const MOST: usize = 16_384;
/// How long invalidations are kept, in case the server comes back with older data.
pub(super) const RECENT: Duration = Duration::from_secs(3600);

/// The taken ones, by the order of their numbers.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) numbers: HashMap<Key, u64>,
    pub(super) keys: BTreeMap<u64, (Key, Timestamp)>,
    /// When the latest of those was taken that there is no room for.
    pub(super) dropped: Option<Timestamp>,
}

impl Recent {
    pub(super) fn push(&mut self, key: Key, number: u64, now: Timestamp) {
        self.expire(now);
        match self.numbers.get(&key) {
            Some(&newer) if newer > number => return,
            Some(older) => drop(self.keys.remove(older)),
            None => {}
        }
        self.numbers.insert(key.clone(), number);
        self.keys.insert(number, (key, now));
        if self.keys.len() > MOST
            && let Some((_, (key, taken))) = self.keys.pop_first()
        {
            self.numbers.remove(&key);
            self.dropped = self.dropped.max(Some(taken));
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(first) = self.keys.first_entry()
            && now.saturating_since(first.get().1) >= RECENT
        {
            self.numbers.remove(&first.remove().0);
        }
    }
}
