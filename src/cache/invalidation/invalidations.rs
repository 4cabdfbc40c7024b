//! What this process knows of invalidations that the store may not know of.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};

use super::recent::{MOST, RECENT, Recent};
use crate::{
    cache::{clock::now, policy::StoredHead},
    store::{
        Key, Store, StoreError, Timestamp,
        operations::response::{self, Invalidate},
    },
};

/// How many unsafe requests may run on after their clients have left.
const UNATTENDED: usize = 256;

/// What this process knows of invalidations that the store may not know of.
pub(crate) struct Invalidations {
    pub(super) store: Store,
    keys: Mutex<Keys>,
    /// How many are pending, so that lookups need no lock when there are none.
    pending: AtomicUsize,
    /// All responses received up to this time, in Unix milliseconds, are out of date. It is set when
    /// there are too many keys to remember.
    watermark: AtomicU64,
    /// The epoch of the connections on which the recent ones were taken.
    epoch: AtomicU64,
    pub(crate) unattended: Arc<Semaphore>,
}

#[derive(Default)]
pub(super) struct Keys {
    /// Not taken by the store yet.
    pub(super) pending: HashMap<Key, Pending>,
    pub(super) recent: Recent,
    number: u64,
    /// Whether the task that repeats them runs.
    pub(super) repeating: bool,
}

#[derive(Default)]
pub(super) struct Pending {
    /// The number of the key's latest invalidation.
    pub(super) number: u64,
    /// Whether the store has failed to take it.
    has_failed: bool,
}

/// Why what is stored under a key must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hidden {
    /// The store is being told. A response that is fetched now may be stored: should the
    /// invalidation reach the store after it, it is removed again.
    ForNow,
    /// The store could not be told. Nothing is stored under the key until it is.
    UntilTaken,
}

/// Invalidations that are sent together, in one epoch of connections.
pub(super) struct Attempt {
    pub(super) epoch: u64,
    pub(super) keys: Vec<(Key, u64)>,
}

/// The first attempt of an invalidation, which takes at most the store's deadline.
#[derive(Debug)]
pub(crate) struct Invalidating(pub(super) Option<JoinHandle<()>>);

impl Invalidations {
    pub(crate) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            epoch: AtomicU64::new(store.connections_epoch()),
            store,
            keys: Mutex::default(),
            pending: AtomicUsize::new(0),
            watermark: AtomicU64::new(0),
            unattended: Arc::new(Semaphore::new(UNATTENDED)),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what the store has under `key` must not be used, although the store may not know.
    pub(crate) fn hidden(self: &Arc<Self>, key: &Key) -> Option<Hidden> {
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
    pub(crate) fn is_over(&self, head: &StoredHead) -> bool {
        head.received() <= self.watermark()
    }

    /// What was received or begun up to this time, in Unix milliseconds, is out of date.
    pub(crate) fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// Removes everything stored under `keys`. This process does not use it from now on. The first
    /// attempt goes on whether or not it is waited for.
    pub(crate) fn invalidate(self: &Arc<Self>, keys: Vec<Key>) -> Invalidating {
        let attempt = self.note(keys);
        let at_once = (self.purges(&attempt), attempt.operations());
        if let Ok((_, results)) = self.store.execute(at_once).into_ready() {
            self.settle(attempt, &results);
            return Invalidating(None);
        }
        // Nothing has been sent to a server yet.
        let this = self.clone();
        let task = async move {
            this.attempt(attempt).await;
        };
        // Without a runtime it stays pending, and the next request repeats it.
        Invalidating(
            Handle::try_current()
                .ok()
                .map(|runtime| runtime.spawn(task)),
        )
    }

    pub(super) fn note(&self, invalid: Vec<Key>) -> Attempt {
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

    /// Sends an attempt. Returns whether the store has taken all of it.
    pub(super) async fn attempt(self: &Arc<Self>, attempt: Attempt) -> bool {
        let results = self.send(&attempt).await;
        self.settle(attempt, &results)
    }

    async fn send(&self, attempt: &Attempt) -> Vec<Result<bool, StoreError>> {
        if let Some(purges) = self.purges(attempt)
            && let Err(error) = self.store.execute(purges).await
        {
            return vec![Err(error); attempt.keys.len()];
        }
        self.store.execute(attempt.operations()).await
    }

    /// What has to be done before an attempt that purges tags: after it, no response is stored that
    /// was asked for before. It cannot travel with the rest, since on a cluster that may come first,
    /// and the tag get a new stamp from such a response.
    fn purges(&self, attempt: &Attempt) -> Option<Invalidate> {
        let names = self.store.names();
        let has_tags = attempt
            .keys
            .iter()
            .any(|(key, _)| response::is_tag(names, key));
        has_tags.then(|| Invalidate(response::purges(names)))
    }

    /// Notes which invalidations of an attempt the store has taken. Returns whether all were.
    pub(super) fn settle(
        self: &Arc<Self>,
        attempt: Attempt,
        results: &[Result<bool, StoreError>],
    ) -> bool {
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            tracing::warn!(target: "tower_keep::cache", %error, "an invalidation is pending");
        }
        let mut keys = self.lock();
        // What was taken by a server that was lost since does not count.
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
            // A key that was invalidated again meanwhile stays pending.
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

    /// On a new connection, repeats what was taken on the one before.
    pub(super) fn follow_connection(self: &Arc<Self>) {
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
            // At most as many as were remembered.
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
        // Set last: whoever sees the new epoch sees what is pending as well.
        self.epoch.store(epoch, Ordering::Release);
        drop(keys);
        self.keep_repeating();
    }
}

impl Attempt {
    pub(super) fn operations(&self) -> Vec<Invalidate> {
        let keys = self.keys.iter();
        keys.map(|(key, _)| Invalidate(key.clone())).collect()
    }
}

impl Keys {
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.recent.keys.is_empty()
    }
}

impl Future for Invalidating {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            // If its runtime ended the task, the invalidation stays pending.
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
