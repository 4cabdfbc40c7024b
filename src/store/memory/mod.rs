//! The embedded store: the same operations as on Redis, in process and bounded.

mod list;
mod shard;
mod sketch;
mod table;
mod weigh;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) use table::{Live, Table, replace};
pub(crate) use weigh::{Weigh, exact, heap};

use super::{clock::Timestamp, operations};

/// How often expired entries are reclaimed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A sweeper that has not swept for so long is given up: its runtime is not polled any more, as a
/// current-thread one between two `block_on`.
const SWEEPER_LOST: Duration = Duration::from_secs(5);

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
    /// Which sessions a user has. Default 32 MiB, about 80,000 sessions.
    pub session_index: usize,
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
            session_index: 32 * MIB,
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
    #[cfg(feature = "session")]
    pub(crate) session_index: Table<operations::session::IndexState>,
    #[cfg(feature = "cache")]
    pub(crate) responses: Table<operations::response::ResponseSet>,
    #[cfg(feature = "key-value")]
    pub(crate) values: Table<bytes::Bytes>,
    /// When the sweeper swept last or was started, in microseconds; 0 without a sweeper.
    swept: AtomicU64,
}

impl Memory {
    pub(crate) fn new(limits: &MemoryLimits) -> Arc<Self> {
        Arc::new(Self {
            #[cfg(feature = "rate-limit")]
            rate_limits: Table::with_budget(limits.rate_limits),
            #[cfg(feature = "session")]
            sessions: Table::with_budget(limits.sessions),
            #[cfg(feature = "session")]
            session_index: Table::with_budget(limits.session_index),
            #[cfg(feature = "cache")]
            responses: Table::with_budget(limits.responses),
            #[cfg(feature = "key-value")]
            values: Table::with_budget(limits.values),
            swept: AtomicU64::new(0),
        })
    }

    /// Starts the sweeper at the first use inside a runtime, and another one when it is lost. It
    /// ends with the store.
    pub(crate) fn keep_swept(self: &Arc<Self>, now: Timestamp) {
        let swept = self.swept.load(Ordering::Relaxed);
        let since = now.saturating_since(Timestamp::from_micros(swept));
        if swept != 0 && since < SWEEPER_LOST {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.swept_again(swept, now.as_micros()) {
            let sweeper = Sweeper {
                memory: Arc::downgrade(self),
                swept: now.as_micros(),
            };
            runtime.spawn(sweeper.run());
        }
    }

    /// Whether the sweeper of `before` may go on: `false` when another one has taken over.
    fn swept_again(&self, before: u64, now: u64) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.swept
            .compare_exchange(before, now, success, failure)
            .is_ok()
    }

    fn reclaim(&self, now: Timestamp) {
        #[cfg(feature = "rate-limit")]
        self.rate_limits.reclaim(now);
        #[cfg(feature = "session")]
        self.sessions.reclaim(now);
        #[cfg(feature = "session")]
        self.session_index.reclaim(now);
        #[cfg(feature = "cache")]
        self.responses.reclaim(now);
        #[cfg(feature = "key-value")]
        self.values.reclaim(now);
    }
}

/// However it ends (its runtime may be shut down while the store lives on in another one), the
/// next use starts a new one.
struct Sweeper {
    memory: Weak<Memory>,
    /// What it has put down last.
    swept: u64,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.upgrade() {
            memory.swept_again(self.swept, 0);
        }
    }
}

impl Sweeper {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let Some(memory) = self.memory.upgrade() else {
                return;
            };
            let now = Timestamp::now();
            if !memory.swept_again(self.swept, now.as_micros()) {
                return;
            }
            self.swept = now.as_micros();
            memory.reclaim(now);
        }
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
