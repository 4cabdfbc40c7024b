//! The invalidations that the store took lately.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::MOST;
use crate::store::{Key, Timestamp};

/// For so long a server may come back with older data.
pub(super) const RECENT: Duration = Duration::from_secs(3600);

/// Taken lately, in this order.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) numbers: HashMap<Key, u64>,
    pub(super) keys: BTreeMap<u64, (Key, Timestamp)>,
    /// When the latest was taken of those that there was no room for.
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
