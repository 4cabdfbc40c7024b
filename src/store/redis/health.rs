//! The circuit breaker: what is known of the server, and who waits for it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::store::StoreState;

/// The server's state as the calls see it.
///
/// A call that loses its connection makes the state `Connecting`, where others wait within
/// their own deadlines; one that gets no answer, or a connection attempt that fails, makes it
/// `Unavailable`, where they fail at once. Only the [reviver](super::lane) makes it `Ready`.
#[derive(Debug)]
pub(super) struct Health {
    state: watch::Sender<StoreState>,
    born: Instant,
    /// Microseconds from `born` to the last reply of any call.
    last_reply: AtomicU64,
    reviving: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(StoreState::Connecting),
            born: Instant::now(),
            last_reply: AtomicU64::new(0),
            reviving: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> StoreState {
        *self.state.borrow()
    }

    /// Returns whether this changed anything.
    pub(super) fn set(&self, state: StoreState) -> bool {
        self.state
            .send_if_modified(|current| std::mem::replace(current, state) != state)
    }

    /// Waits until the state is anything but `Connecting`.
    pub(super) async fn changed(&self) {
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = state
            .wait_for(|state| *state != StoreState::Connecting)
            .await;
    }

    pub(super) fn replied(&self) {
        self.last_reply.store(self.age(), Ordering::Relaxed);
    }

    pub(super) fn replied_within(&self, duration: Duration) -> bool {
        let last = self.last_reply.load(Ordering::Relaxed);
        last > 0 && u128::from(self.age().saturating_sub(last)) < duration.as_micros()
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The flag that keeps the reviver single.
    pub(super) fn reviving(&self) -> &AtomicBool {
        &self.reviving
    }
}
