//! The bytes that a table may take, counted over all of its shards.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What all shards of a table share.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes that the entries may take.
    pub(super) total: usize,
    /// Bytes that they take.
    pub(super) held: AtomicUsize,
    /// Bytes that one entry may take.
    pub(super) largest: usize,
    /// Bytes that the newcomers of a shard may take.
    pub(super) window: usize,
}

impl Budget {
    pub(super) fn is_exceeded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.total
    }

    /// Puts down that an entry of weight `old` weighs `new` now.
    pub(super) fn exchange(&self, old: usize, new: usize) {
        if new >= old {
            self.held.fetch_add(new - old, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(old - new, Ordering::Relaxed);
        }
    }
}
