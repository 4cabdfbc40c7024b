//! The task that repeats invalidations until the store takes them, and watches the connection.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::runtime::Handle;

use super::invalidations::{Attempt, Invalidations};
use crate::store::Timestamp;

/// How many keys are sent together.
const BATCH: usize = 256;
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
const WATCH: Duration = Duration::from_secs(1);
impl Invalidations {
    /// Starts the task, if there is anything to do and it does not run.
    pub(super) fn keep_repeating(self: &Arc<Self>) {
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
}

/// The task's hold on the invalidations. It is weak, and clears the flag however the task ends.
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
            // A lost connection is noticed by a call, and is replaced then.
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
