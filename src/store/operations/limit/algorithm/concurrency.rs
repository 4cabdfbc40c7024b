//! Concurrency: the places of requests under way, each with the time at which it is given up
//! unless its process renews it.

use std::collections::HashMap;

use super::{Level, Limit};

/// What a denied request is told to wait, in microseconds: nobody knows when a place becomes free,
/// and this is the shortest time that `Retry-After` can tell.
pub(super) const RETRY: u64 = 1_000_000;

/// Who holds a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlaceId(pub(crate) u128);

/// The places that are taken, by the time at which each ends.
///
/// Thousands can be, and each request looks: so all of them are gone through only when one may have
/// ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    held: HashMap<PlaceId, u64>,
    /// None of them ends before this.
    earliest: u64,
    /// And none after this.
    latest: u64,
}

impl Places {
    /// Drops the places whose time is over. Whether some had to be cut: their time was further
    /// away than any process asks for, so the clock was set back.
    pub(crate) fn advance(&mut self, limit: &Limit, now: u64) -> bool {
        let longest = now + limit.window;
        let cut = self.latest > longest;
        if self.earliest > now && !cut {
            return false;
        }
        self.held.retain(|_, ends| {
            *ends = (*ends).min(longest);
            *ends > now
        });
        self.earliest = self.held.values().copied().min().unwrap_or(u64::MAX);
        self.latest = self.held.values().copied().max().unwrap_or(0);
        cut
    }

    pub(crate) fn level(&self) -> Level {
        Level {
            rest: self.held.len() as u64,
            ..Level::default()
        }
    }

    pub(crate) fn take(&mut self, id: PlaceId, ends: u64) {
        self.held.insert(id, ends);
        self.earliest = self.earliest.min(ends);
        self.latest = self.latest.max(ends);
    }

    pub(crate) fn renew(&mut self, id: PlaceId, ends: u64) -> bool {
        let place = self.held.get_mut(&id);
        let held = place.map(|held| *held = ends).is_some();
        if held {
            self.earliest = self.earliest.min(ends);
            self.latest = self.latest.max(ends);
        }
        held
    }

    pub(crate) fn release(&mut self, id: PlaceId) {
        self.held.remove(&id);
    }

    /// By when all of them have ended.
    pub(crate) fn ends(&self) -> u64 {
        match self.held.is_empty() {
            true => 0,
            false => self.latest,
        }
    }

    /// A map keeps an eighth of its room free, and a byte beside each place.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.held.capacity() * 8 / 7 * (size_of::<(PlaceId, u64)>() + 1)
    }
}
