//! Whether the connections lead to a replica, which answers what only reads.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// What is known of it.
///
/// A write that is refused as `READONLY` says so first. The [reviver](super::revive) then looks
/// for the master, and those that were refused meanwhile wait for its first look.
#[derive(Debug, Default)]
pub(super) struct Replica {
    state: AtomicU8,
    looked: Notify,
}

/// For all that is known they lead to a master.
const NO: u8 = 0;
/// A write was refused, and nobody has looked for the master since.
const SUSPECTED: u8 = 1;
/// There was no master to be found.
const YES: u8 = 2;

impl Replica {
    pub(super) fn is_suspected(&self) -> bool {
        self.state.load(Ordering::Relaxed) != NO
    }

    /// A write was refused. Whether it is worth waiting for a look.
    pub(super) fn suspect(&self) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let before = self.state.compare_exchange(NO, SUSPECTED, success, failure);
        !matches!(before, Err(YES))
    }

    /// What a look for the master has found.
    pub(super) fn looked(&self, replica: bool) {
        self.state
            .store(if replica { YES } else { NO }, Ordering::Release);
        self.looked.notify_waiters();
    }

    /// Waits until somebody has looked; whether there is a master again.
    pub(super) async fn master_is_back(&self) -> bool {
        loop {
            // Before the look at the state, so that a change in between is not missed.
            let looked = self.looked.notified();
            match self.state.load(Ordering::Acquire) {
                SUSPECTED => looked.await,
                state => return state == NO,
            }
        }
    }
}
