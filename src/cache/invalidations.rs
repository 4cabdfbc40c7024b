//! Invalidations that the store has not taken yet, and those that it may forget.
//!
//! Until the store has taken an invalidation, this process takes the key for gone: it does not
//! answer from it and, once the store was told in vain, stores nothing under it. A task repeats the invalidation until it is taken, whoever
//! asked for it and whether or not they still wait.
//!
//! A server that comes back with old data revives what was invalidated since. So the
//! invalidations of the last hour are kept, and repeated on every new connection; until that is
//! done their keys are gone to this process again. So that a process without requests notices
//! the loss of its connection too, it asks the server for a sign of life every second of that hour.

mod recent;

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};

use self::recent::{RECENT, Recent};
use super::{policy::StoredHead, state::now};
use crate::store::{Key, Store, StoreError, Timestamp, operations::response::Invalidate};

/// Keys that are remembered one by one, of either kind.
const MOST: usize = 16_384;
/// Keys that travel together.
const BATCH: usize = 256;
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
const WATCH: Duration = Duration::from_secs(1);
/// Unsafe requests that may run on after their clients have left.
const UNATTENDED: usize = 256;

/// What this process knows of invalidations that the store may not know of.
pub(super) struct Invalidations {
    store: Store,
    keys: Mutex<Keys>,
    /// How many are pending: spares lookups the lock.
    pending: AtomicUsize,
    /// What was received up to then, in Unix milliseconds, is out of date: too many keys are.
    watermark: AtomicU64,
    /// The store's connection that the recent ones were taken on.
    epoch: AtomicU64,
    pub(super) unattended: Arc<Semaphore>,
}

#[derive(Default)]
struct Keys {
    /// Not taken yet.
    pending: HashMap<Key, Pending>,
    recent: Recent,
    number: u64,
    /// Whether the task that repeats them runs.
    repeating: bool,
}

#[derive(Default)]
struct Pending {
    /// That of the key's latest invalidation.
    number: u64,
    /// Whether the store was asked in vain.
    has_failed: bool,
}

/// What is stored under a key is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// The store is being told. What is fetched now may be stored: if the store hears of the
    /// invalidation later than of that, it is gone again.
    ForNow,
    /// The store could not be told, and nothing is stored until it can.
    UntilTaken,
}

/// Invalidations that are sent together, on the connection of an epoch.
struct Attempt {
    epoch: u64,
    keys: Vec<(Key, u64)>,
}

/// The first attempt of an invalidation, which takes at most the store's deadline.
#[derive(Debug)]
pub(super) struct Invalidating(Option<JoinHandle<()>>);

impl Invalidations {
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            epoch: AtomicU64::new(store.connections_epoch()),
            store,
            keys: Mutex::default(),
            pending: AtomicUsize::new(0),
            watermark: AtomicU64::new(0),
            unattended: Arc::new(Semaphore::new(UNATTENDED)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what the store has of `key` is out of date, although the store may not know.
    pub(super) fn hidden(self: &Arc<Self>, key: &Key) -> Option<Hidden> {
        self.follow_connection();
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        let has_failed = self.lock().pending.get(key)?.has_failed;
        if !has_failed {
            return Some(Hidden::ForNow);
        }
        self.keep_repeating();
        Some(Hidden::UntilTaken)
    }

    /// Whether a stored response is from before the moment up to which everything is out of date.
    pub(super) fn is_over(&self, head: &StoredHead) -> bool {
        head.received() <= self.watermark()
    }

    /// Unix milliseconds; what was received or begun up to then is out of date.
    pub(super) fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// Takes everything that is stored under `keys` out of the store. From now on they are gone
    /// to this process. The first attempt can be waited for, and need not be.
    pub(super) fn invalidate(self: &Arc<Self>, keys: Vec<Key>) -> Invalidating {
        let attempt = self.note(keys);
        let execute = match self.store.execute(attempt.operations()).into_ready() {
            Ok(results) => {
                self.settle(attempt, &results);
                return Invalidating(None);
            }
            Err(execute) => execute,
        };
        let this = self.clone();
        let task = async move {
            let results = execute.await;
            this.settle(attempt, &results);
        };
        // Without a runtime it stays pending, and the next request sees to it.
        Invalidating(
            Handle::try_current()
                .ok()
                .map(|runtime| runtime.spawn(task)),
        )
    }

    fn note(&self, invalid: Vec<Key>) -> Attempt {
        let mut keys = self.lock();
        let mut attempt = Attempt {
            epoch: self.store.connections_epoch(),
            keys: Vec::with_capacity(invalid.len()),
        };
        for key in invalid {
            keys.number += 1;
            let number = keys.number;
            if keys.pending.len() < MOST || keys.pending.contains_key(&key) {
                let pending = keys.pending.entry(key.clone()).or_default();
                pending.number = number;
            } else if self.watermark.fetch_max(now(), Ordering::AcqRel) == 0 {
                tracing::warn!(target: "tower_keep::cache", "too many invalidations are pending: nothing that is stored is used any more");
            }
            attempt.keys.push((key, number));
        }
        self.pending.store(keys.pending.len(), Ordering::Release);
        attempt
    }

    /// Notes which of an attempt's invalidations the store has taken; whether all were.
    fn settle(self: &Arc<Self>, attempt: Attempt, results: &[Result<bool, StoreError>]) -> bool {
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            tracing::warn!(target: "tower_keep::cache", %error, "an invalidation is pending");
        }
        let mut keys = self.lock();
        // Taken by a server that was lost since, it is not taken.
        let same = self.store.connections_epoch() == attempt.epoch;
        // Embedded memory does not come back with old data.
        let forgetful = attempt.epoch > 0;
        let now = Timestamp::now();
        let mut all = true;
        for ((key, number), result) in attempt.keys.into_iter().zip(results) {
            let pending = keys.pending.get_mut(&key);
            if result.is_err() || !same {
                if let Some(pending) = pending {
                    pending.has_failed |= result.is_err();
                }
                all = false;
                continue;
            }
            // One that was invalidated again meanwhile stays.
            if pending.is_some_and(|pending| pending.number == number) {
                keys.pending.remove(&key);
            }
            if forgetful {
                keys.recent.push(key, number, now);
            }
        }
        self.pending.store(keys.pending.len(), Ordering::Release);
        drop(keys);
        self.keep_repeating();
        all
    }

    /// After a new connection, what was taken on the last is as good as not taken.
    fn follow_connection(self: &Arc<Self>) {
        let epoch = self.store.connections_epoch();
        if self.epoch.load(Ordering::Acquire) == epoch {
            return;
        }
        let mut keys = self.lock();
        if self.epoch.load(Ordering::Acquire) == epoch {
            return;
        }
        let now = Timestamp::now();
        keys.recent.expire(now);
        let recent = std::mem::take(&mut keys.recent);
        for (number, (key, _)) in recent.keys {
            // At most so many again: they are not new.
            keys.pending.entry(key).or_insert(Pending {
                number,
                has_failed: false,
            });
        }
        if let Some(dropped) = recent.dropped
            && now.saturating_since(dropped) < RECENT
        {
            self.watermark
                .fetch_max(dropped.as_millis(), Ordering::AcqRel);
        }
        self.pending.store(keys.pending.len(), Ordering::Release);
        // Last: whoever finds it the same finds what is pending, too.
        self.epoch.store(epoch, Ordering::Release);
        drop(keys);
        self.keep_repeating();
    }

    /// Starts the task that repeats and watches, if there is anything to do and it does not run.
    fn keep_repeating(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut keys = self.lock();
        if !keys.repeating && !keys.is_idle() {
            keys.repeating = true;
            drop(keys);
            runtime.spawn(repeat(Repeating(Arc::downgrade(self))));
        }
    }

    /// Some of what is pending.
    fn pending(&self) -> Attempt {
        let epoch = self.store.connections_epoch();
        let keys = self.lock();
        let pending = keys.pending.iter().take(BATCH);
        Attempt {
            epoch,
            keys: pending
                .map(|(key, pending)| (key.clone(), pending.number))
                .collect(),
        }
    }

    /// Sends some of what is pending; whether the store took it.
    async fn attempt(self: &Arc<Self>, attempt: Attempt) -> bool {
        let results = self.store.execute(attempt.operations()).await;
        self.settle(attempt, &results)
    }
}

impl Attempt {
    fn operations(&self) -> Vec<Invalidate> {
        let keys = self.keys.iter();
        keys.map(|(key, _)| Invalidate(key.clone())).collect()
    }
}

impl Keys {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.recent.keys.is_empty()
    }
}

/// The repeating task's hold: weak, and it clears the flag however the task ends.
struct Repeating(Weak<Invalidations>);

impl Drop for Repeating {
    fn drop(&mut self) {
        if let Some(invalidations) = self.0.upgrade() {
            invalidations.lock().repeating = false;
        }
    }
}

async fn repeat(mut repeating: Repeating) {
    let mut pause = BACKOFF.0;
    loop {
        let Some(this) = repeating.0.upgrade() else {
            return;
        };
        this.follow_connection();
        let attempt = this.pending();
        if attempt.keys.is_empty() {
            let idle = {
                let mut keys = this.lock();
                keys.recent.expire(Timestamp::now());
                // Under the lock, so that whoever adds something starts another.
                keys.repeating = !keys.is_idle();
                !keys.repeating
            };
            drop(this);
            if idle {
                // The flag may be another's by now.
                repeating.0 = Weak::new();
                return;
            }
            tokio::time::sleep(WATCH).await;
            let Some(this) = repeating.0.upgrade() else {
                return;
            };
            // A lost connection is noticed by a call, and then replaced.
            let _ = this.store.ping().await;
        } else if this.attempt(attempt).await {
            pause = BACKOFF.0;
        } else {
            drop(this);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }
}

impl Future for Invalidating {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            // Ended by its runtime, it is pending.
            Some(task) => Pin::new(task).poll(cx).map(drop),
        }
    }
}

impl fmt::Debug for Invalidations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidations")
            .field("pending", &self.pending)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
