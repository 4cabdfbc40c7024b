//! A task of which there is one at a time, in whatever runtime.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A claim whose holder has shown no progress for so long is free: the holder's runtime is not
/// polled any more, as a current-thread one between two `block_on`.
const STALE: Duration = Duration::from_secs(1);

/// Who does the task, if anybody: the microsecond of the holder's last sign of progress.
#[derive(Debug, Default)]
pub(super) struct Claim(AtomicU64);

/// What the holder of a claim shows, to keep it and to give it back.
#[derive(Debug)]
pub(super) struct Ticket(u64);

impl Claim {
    /// Takes the claim if nobody has it.
    pub(super) fn take(&self) -> Option<Ticket> {
        let held = self.0.load(Ordering::Acquire);
        let now = now();
        if held != 0 && u128::from(now.saturating_sub(held)) < STALE.as_micros() {
            return None;
        }
        let taken =
            self.0
                .compare_exchange(held, now.max(held + 1), Ordering::AcqRel, Ordering::Relaxed);
        taken.ok().map(|_| Ticket(now.max(held + 1)))
    }

    /// Shows progress. `false` when somebody else has taken over.
    pub(super) fn keep(&self, ticket: &mut Ticket) -> bool {
        let now = now().max(ticket.0 + 1);
        let kept = self
            .0
            .compare_exchange(ticket.0, now, Ordering::AcqRel, Ordering::Relaxed);
        ticket.0 = now;
        kept.is_ok()
    }

    pub(super) fn give_back(&self, ticket: &Ticket) {
        let _ = self
            .0
            .compare_exchange(ticket.0, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Microseconds, at least one, of the process' monotonic clock: a runtime's own may be paused.
fn now() -> u64 {
    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BASE.elapsed().as_micros()).unwrap_or(u64::MAX) + 1
}
