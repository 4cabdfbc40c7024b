//! Reclaiming what has expired, without a call by the user.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::store::clock::Timestamp;

/// How often expired entries are reclaimed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A sweeper that has not swept for so long is given up: its runtime is not polled any more, as a
/// current-thread one between two `block_on`.
const SWEEPER_LOST: Duration = Duration::from_secs(5);

/// What can be swept: tables.
pub(crate) trait Reclaim: Send + Sync + 'static {
    /// Drops what has expired.
    fn reclaim(&self, now: Timestamp);
}

/// Tables that a task keeps free of what has expired.
#[derive(Debug)]
pub(crate) struct Swept<T> {
    tables: T,
    /// When the sweeper swept last or was started, in microseconds; 0 without a sweeper.
    swept: AtomicU64,
}

impl<T: Reclaim> Swept<T> {
    pub(crate) fn new(tables: T) -> Arc<Self> {
        Arc::new(Self {
            tables,
            swept: AtomicU64::new(0),
        })
    }

    pub(crate) fn tables(&self) -> &T {
        &self.tables
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
}

impl<T> Swept<T> {
    /// Whether the sweeper of `before` may go on: `false` when another one has taken over.
    fn swept_again(&self, before: u64, now: u64) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.swept
            .compare_exchange(before, now, success, failure)
            .is_ok()
    }
}

/// However it ends (its runtime may be shut down while the store lives on in another one), the
/// next use starts a new one.
struct Sweeper<T> {
    memory: Weak<Swept<T>>,
    /// What it has put down last.
    swept: u64,
}

impl<T> Drop for Sweeper<T> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.upgrade() {
            memory.swept_again(self.swept, 0);
        }
    }
}

impl<T: Reclaim> Sweeper<T> {
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
            memory.tables.reclaim(now);
        }
    }
}

#[cfg(test)]
mod tests;
