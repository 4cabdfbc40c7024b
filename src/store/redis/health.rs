//! The circuit breaker: what is known of the server, and who waits for it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::store::StoreState;

/// The server's state as the calls see it.
///
/// A call that loses its connection makes the state `Connecting`, where others wait within
/// their own deadlines; one that gets no answer, or a connection attempt that fails, makes it
/// `Unavailable`, where they fail at once. Only the [reviver](super::revive) makes it `Ready`.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Read by every call, so no lock: a [`StoreState`] by its place in `STATES`.
    state: AtomicU8,
    changed: Notify,
    reviving: AtomicBool,
}

const STATES: [StoreState; 3] = [
    StoreState::Connecting,
    StoreState::Ready,
    StoreState::Unavailable,
];

fn place(state: StoreState) -> u8 {
    match state {
        StoreState::Connecting => 0,
        // A degraded store is one whose breaker is closed.
        StoreState::Ready | StoreState::Degraded => 1,
        StoreState::Unavailable => 2,
    }
}

impl Health {
    pub(super) fn state(&self) -> StoreState {
        STATES[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// Returns whether this changed anything.
    pub(super) fn set(&self, state: StoreState) -> bool {
        let changed = self.state.swap(place(state), Ordering::AcqRel) != place(state);
        if changed {
            self.changed.notify_waiters();
        }
        changed
    }

    /// `Connecting`, if it was `Ready`: an open breaker stays open.
    pub(super) fn lost(&self) {
        let (ready, connecting) = (place(StoreState::Ready), place(StoreState::Connecting));
        // Nobody waits for `Connecting`, so nobody is told.
        let _ = self
            .state
            .compare_exchange(ready, connecting, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Waits until the state is anything but `Connecting`.
    pub(super) async fn known(&self) {
        loop {
            // Before the look at the state, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.state() != StoreState::Connecting {
                return;
            }
            changed.await;
        }
    }

    /// Takes the flag that keeps the reviver single.
    pub(super) fn start_reviving(&self) -> bool {
        // The look before it spares calls that fail fast a write to a shared cache line.
        !self.reviving.load(Ordering::Acquire) && !self.reviving.swap(true, Ordering::AcqRel)
    }

    pub(super) fn stop_reviving(&self) {
        self.reviving.store(false, Ordering::Release);
    }
}
