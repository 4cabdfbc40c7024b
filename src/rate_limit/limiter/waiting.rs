//! Requests that wait for a limit rather than being refused.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::store::operations::limit::Subject;

/// No window is longer, and clocks can tell when it is over.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Where requests wait: so many, for so long.
#[derive(Clone)]
pub(crate) struct WaitingRoom {
    max_wait: Duration,
    seats: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    taken: AtomicUsize,
    /// The units that the waiting requests of each subject will take.
    ahead: Mutex<HashMap<Subject, u64>>,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    sleep: Pin<Box<Sleep>>,
    until: Instant,
    /// Held for its drop.
    _seat: Seat,
}

struct Seat {
    shared: Arc<Shared>,
    subject: Subject,
    cost: u64,
}

impl WaitingRoom {
    pub(crate) fn new(max_wait: Duration, seats: usize) -> Self {
        Self {
            max_wait: max_wait.min(LONGEST),
            seats,
            shared: Arc::default(),
        }
    }

    /// Takes a seat for a denied request, if one is free and its turn comes soon enough: after
    /// those of its subject that wait in this process already. `wait_behind` is how long it waits
    /// where so many units go first; `None` where that is never or not known.
    pub(crate) fn enter(
        &self,
        subject: Subject,
        cost: u64,
        wait_behind: impl FnOnce(u64) -> Option<Duration>,
        now: Instant,
    ) -> Option<Waiting> {
        let mut ahead = self.shared.ahead();
        let before = ahead.get(&subject).copied().unwrap_or(0);
        let wait = wait_behind(before)?;
        if wait > self.max_wait {
            return None;
        }
        let taken = &self.shared.taken;
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let take = |taken| (taken < self.seats).then_some(taken + 1);
        taken.fetch_update(success, failure, take).ok()?;
        ahead.insert(subject, before.saturating_add(cost));
        // Its drop needs the lock.
        drop(ahead);
        let seat = Seat {
            shared: self.shared.clone(),
            subject,
            cost,
        };
        Some(Waiting {
            sleep: Box::pin(tokio::time::sleep_until(now + wait)),
            until: now + self.max_wait,
            _seat: seat,
        })
    }
}

impl Waiting {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }

    /// Waits again, since others were faster; `false` if that would take too long.
    pub(crate) fn again(&mut self, wait: Option<Duration>, now: Instant) -> bool {
        let wake = wait.and_then(|wait| now.checked_add(wait));
        match wake.filter(|wake| *wake <= self.until) {
            Some(wake) => {
                self.sleep.as_mut().reset(wake);
                true
            }
            None => false,
        }
    }
}

impl Shared {
    fn ahead(&self) -> MutexGuard<'_, HashMap<Subject, u64>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.taken.fetch_sub(1, Ordering::Relaxed);
        let mut ahead = self.shared.ahead();
        if let Some(units) = ahead.get_mut(&self.subject) {
            *units = units.saturating_sub(self.cost);
            if *units == 0 {
                ahead.remove(&self.subject);
            }
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingRoom")
            .field("max_wait", &self.max_wait)
            .field("seats", &self.seats)
            .field("taken", &self.shared.taken.load(Ordering::Relaxed))
            .finish()
    }
}
