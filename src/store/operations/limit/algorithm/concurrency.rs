//! Concurrency: the places of requests under way, each with the time at which it is given up
//! unless its process renews it.

use super::{Level, Limit};

/// What a denied request is told to wait, in microseconds: nobody knows when a place becomes free,
/// and this is the shortest time that `Retry-After` can tell.
pub(super) const RETRY: u64 = 1_000_000;

/// Who holds a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlaceId(pub(crate) u128);

/// The places that are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places(Vec<(PlaceId, u64)>);

impl Places {
    /// Drops the places whose time is over. Whether some had to be cut: their time was further
    /// away than any process asks for, so the clock was set back.
    pub(crate) fn advance(&mut self, limit: &Limit, now: u64) -> bool {
        let latest = now + limit.window;
        self.0.retain(|(_, ends)| *ends > now);
        let ahead = self.0.iter_mut().filter(|(_, ends)| *ends > latest);
        ahead.map(|(_, ends)| *ends = latest).count() > 0
    }

    pub(crate) fn level(&self) -> Level {
        Level {
            rest: self.0.len() as u64,
            ..Level::default()
        }
    }

    pub(crate) fn take(&mut self, id: PlaceId, ends: u64) {
        self.0.push((id, ends));
    }

    pub(crate) fn renew(&mut self, id: PlaceId, ends: u64) -> bool {
        let place = self.0.iter_mut().find(|(held, _)| *held == id);
        place.map(|(_, held)| *held = ends).is_some()
    }

    pub(crate) fn release(&mut self, id: PlaceId) {
        self.0.retain(|(held, _)| *held != id);
    }

    pub(crate) fn ends(&self) -> u64 {
        self.0.iter().map(|(_, ends)| *ends).max().unwrap_or(0)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(PlaceId, u64)>()
    }
}
