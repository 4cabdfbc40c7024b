//! The embedded store: the same operations as on Redis, in process and bounded.

mod list;
mod shard;
mod sketch;
mod table;
mod weigh;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(crate) use table::{Live, Table, replace};
pub(crate) use weigh::{Weigh, exact, heap};

use super::{clock::Timestamp, operations};

/// How often expired entries are reclaimed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Bytes that embedded memory may hold, per kind of data, so that a flood of one kind
/// does not push out another.
///
/// They are real bytes: with the keys, the maps around them and the allocator's rounding. A single
/// entry may take a quarter of its kind's; what would take more is an error to its writer. When a
/// kind's bytes are used up, what is asked for least makes room, and keys that are seen
/// once push out only each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// States of rate limits. Default 32 MiB, about 100,000 of them.
    pub rate_limits: usize,
    /// Sessions. Default 64 MiB.
    pub sessions: usize,
    /// Stored HTTP responses with their bodies. Default 128 MiB.
    pub responses: usize,
    /// Values of the key-value service. Default 64 MiB.
    pub values: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            rate_limits: 32 * MIB,
            sessions: 64 * MIB,
            responses: 128 * MIB,
            values: 64 * MIB,
        }
    }
}

/// One table for each kind of data.
#[derive(Debug)]
pub(crate) struct Memory {
    #[cfg(feature = "rate-limit")]
    pub(crate) rate_limits: Table<operations::limit::LimitState>,
    #[cfg(feature = "session")]
    pub(crate) sessions: Table<operations::session::SessionState>,
    #[cfg(feature = "cache")]
    pub(crate) responses: Table<operations::response::ResponseSet>,
    #[cfg(feature = "key-value")]
    pub(crate) values: Table<bytes::Bytes>,
    sweeping: AtomicBool,
}

impl Memory {
    pub(crate) fn new(limits: &MemoryLimits) -> Arc<Self> {
        Arc::new(Self {
            #[cfg(feature = "rate-limit")]
            rate_limits: Table::with_budget(limits.rate_limits),
            #[cfg(feature = "session")]
            sessions: Table::with_budget(limits.sessions),
            #[cfg(feature = "cache")]
            responses: Table::with_budget(limits.responses),
            #[cfg(feature = "key-value")]
            values: Table::with_budget(limits.values),
            sweeping: AtomicBool::new(false),
        })
    }

    /// Starts the sweeper at the first use inside a runtime; it ends with the store.
    pub(crate) fn keep_swept(self: &Arc<Self>) {
        if self.sweeping.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn reclaim(&self, now: Timestamp) {
        #[cfg(feature = "rate-limit")]
        self.rate_limits.reclaim(now);
        #[cfg(feature = "session")]
        self.sessions.reclaim(now);
        #[cfg(feature = "cache")]
        self.responses.reclaim(now);
        #[cfg(feature = "key-value")]
        self.values.reclaim(now);
    }
}

/// Clears the flag however the sweeper ends (its runtime may be shut down while the store
/// lives on in another one), so that the next use starts a new one.
struct Sweeping(Weak<Memory>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(memory) = self.0.upgrade() {
            memory.sweeping.store(false, Ordering::Relaxed);
        }
    }
}

async fn sweep(memory: Weak<Memory>) {
    let sweeping = Sweeping(memory);
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(memory) = sweeping.0.upgrade() else {
            return;
        };
        memory.reclaim(Timestamp::now());
    }
}

#[cfg(all(
    test,
    any(
        feature = "cache",
        feature = "key-value",
        feature = "rate-limit",
        feature = "session"
    )
))]
mod tests;
