//! What could not be stored lately is asked for without waiting for one another.

use std::time::Duration;

use crate::store::{Key, Table, Timestamp, Weigh, replace};

/// Primary keys whose last response was not to be stored: their requests are not collapsed.
#[derive(Debug)]
pub(super) struct Uncacheable(Table<Marker>);

#[derive(Debug, Clone, Copy)]
struct Marker;

impl Weigh for Marker {
    fn weight(&self) -> usize {
        0
    }
}

impl Default for Uncacheable {
    fn default() -> Self {
        Self(Table::with_budget(Self::BYTES))
    }
}

impl Uncacheable {
    const BYTES: usize = 2 << 20;
    const TTL: Duration = Duration::from_secs(60);

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.0.get(key, Timestamp::now(), |_| ()).is_some()
    }

    pub(super) fn remember(&self, key: &Key) {
        let now = Timestamp::now();
        let _ = self
            .0
            .update(key, now, |live| replace(live, Marker, now, Self::TTL));
    }

    pub(super) fn forget(&self, key: &Key) {
        let _ = self.0.update(key, Timestamp::now(), |live| *live = None);
    }
}
