//! The circuit breaker: what is known of the server, who waits for it, and when calls may try again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use crate::store::state::StoreState;

/// An opening counts as a repetition when it follows the last closing within this time.
const QUIET: Duration = Duration::from_secs(10);
/// How long the breaker stays open at least, at the first, second … opening of a series. The
/// last one holds for all that follow.
const HOLDS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The server's state as the calls see it.
///
/// A call that loses its connection makes the state `Connecting`, where others wait within
/// their own deadlines; one that gets no answer, or a connection attempt that fails, makes it
/// `Unavailable`, where they fail at once. Only the [reviver](super::revive) makes it `Ready`.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Read by every call, so no lock: a [`StoreState`] by its place in `STATES`.
    state: AtomicU8,
    changed: Notify,
    openings: Mutex<Openings>,
}

/// The openings for want of an answer in time.
#[derive(Debug, Default)]
struct Openings {
    /// The one that lasts.
    current: Option<Opening>,
    /// How many came in a row before it.
    repetitions: usize,
    closed: Option<Instant>,
    /// What the quickest answer had taken of those that closed it.
    pace: Duration,
}

#[derive(Debug)]
struct Opening {
    hold_until: Instant,
    /// The shortest deadline within which there was no answer.
    deadline: Duration,
    /// Answers so far that were quick enough, in a row.
    answers: usize,
    /// What the quickest of them took.
    quickest: Duration,
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

impl Breaker {
    pub(super) fn state(&self) -> StoreState {
        STATES[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// Returns whether this changed anything.
    fn set(&self, state: StoreState) -> bool {
        let before = self.state.swap(place(state), Ordering::AcqRel);
        let changed = before != place(state);
        if changed {
            #[cfg(feature = "metrics")]
            match place(StoreState::Unavailable) {
                open if open == place(state) => crate::metrics::breaker_opened(),
                open if open == before => crate::metrics::breaker_closed(),
                _ => {}
            }
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

    /// Opens it because no answer came within `deadline`. Returns whether it was closed and is
    /// not now.
    ///
    /// The breaker is the server's and a deadline is a caller's: a miss of one that is shorter than
    /// the server is known to take for its answers says nothing new, and does not open it.
    pub(super) fn trip(&self, deadline: Duration) -> bool {
        let now = Instant::now();
        let mut openings = self.openings();
        if let Some(opening) = &mut openings.current {
            opening.deadline = opening.deadline.min(deadline);
            return self.set(StoreState::Unavailable);
        }
        let again = openings.closed.is_some_and(|at| now - at < QUIET);
        if again && deadline < openings.pace {
            return false;
        }
        openings.repetitions = if again { openings.repetitions + 1 } else { 0 };
        let hold = HOLDS[openings.repetitions.min(HOLDS.len() - 1)];
        openings.current = Some(Opening {
            hold_until: now + hold,
            deadline,
            answers: 0,
            quickest: Duration::MAX,
        });
        self.set(StoreState::Unavailable)
    }

    /// The server cannot be connected to. Returns whether this changed anything.
    pub(super) fn unreachable(&self) -> bool {
        if let Some(opening) = &mut self.openings().current {
            opening.answers = 0;
        }
        self.set(StoreState::Unavailable)
    }

    /// The server was away and may be another one: how it did before says nothing any more.
    pub(super) fn forgive(&self) {
        let mut openings = self.openings();
        openings.repetitions = 0;
        if let Some(opening) = &mut openings.current {
            opening.hold_until = Instant::now();
        }
    }

    /// A probe was answered within `took`. Closes the breaker if that is quick enough for the
    /// longest deadline of the callers, often enough in a row and late enough. Returns whether it
    /// was not closed before and is now.
    pub(super) fn answered(&self, took: Duration, longest: Duration) -> bool {
        let mut openings = self.openings();
        let mut needed = openings.repetitions.min(HOLDS.len() - 1) + 1;
        if let Some(opening) = &mut openings.current {
            opening.answers = if took <= longest {
                opening.answers + 1
            } else {
                0
            };
            opening.quickest = opening.quickest.min(took);
            // One that came late may be the first after a standstill. Two tell how quick the server is.
            needed += usize::from(opening.quickest > opening.deadline);
            if opening.answers < needed || Instant::now() < opening.hold_until {
                self.set(StoreState::Unavailable);
                return false;
            }
            openings.pace = opening.quickest;
            openings.current = None;
            openings.closed = Some(Instant::now());
        }
        self.set(StoreState::Ready)
    }

    /// Ready when the state has changed, or who was to change it has gone. To be made before the
    /// look at the state, so that a change in between is not missed.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Lets those who wait look again: somebody else has to connect.
    pub(super) fn abandoned(&self) {
        self.changed.notify_waiters();
    }

    fn openings(&self) -> MutexGuard<'_, Openings> {
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that goes with its store is open no more.
#[cfg(feature = "metrics")]
impl Drop for Breaker {
    fn drop(&mut self) {
        if self.state() == StoreState::Unavailable {
            crate::metrics::breaker_closed();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(50);
    const IN_TIME: Duration = Duration::from_millis(40);
    const LATE: Duration = Duration::from_millis(60);

    /// How long the breaker stays open while probes are answered in time every 20 ms.
    async fn time_open(breaker: &Breaker) -> Duration {
        let start = Instant::now();
        while !breaker.answered(IN_TIME, DEADLINE) {
            assert_eq!(breaker.state(), StoreState::Unavailable);
            advance(Duration::from_millis(20)).await;
        }
        assert_eq!(breaker.state(), StoreState::Ready);
        start.elapsed()
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_does_not_close_it() {
        pause();
        let breaker = Breaker::default();
        assert!(
            breaker.answered(LATE, DEADLINE),
            "nothing has failed so far"
        );
        assert!(breaker.trip(DEADLINE));
        for _ in 0..100 {
            assert!(!breaker.answered(LATE, DEADLINE));
            advance(Duration::from_millis(100)).await;
        }
        assert!(breaker.answered(IN_TIME, DEADLINE));
    }

    #[tokio::test]
    async fn it_stays_open_longer_each_time_until_it_was_quiet_for_a_while() {
        pause();
        let breaker = Breaker::default();
        let mut times = Vec::new();
        for _ in 0..6 {
            assert!(breaker.trip(DEADLINE));
            times.push(time_open(&breaker).await.as_secs());
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(times, [0, 1, 2, 4, 4, 4]);
        advance(QUIET).await;
        assert!(breaker.trip(DEADLINE));
        assert_eq!(time_open(&breaker).await, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_deadline_below_what_answers_are_known_to_take_opens_it_once() {
        pause();
        let breaker = Breaker::default();
        const HASTY: Duration = Duration::from_millis(5);
        assert!(breaker.trip(HASTY));
        assert!(!breaker.answered(IN_TIME, DEADLINE));
        assert!(breaker.answered(IN_TIME, DEADLINE));
        assert!(!breaker.trip(HASTY));
        assert_eq!(breaker.state(), StoreState::Ready);
        assert!(breaker.trip(DEADLINE), "that is silence");
        advance(Duration::from_secs(1)).await;
        assert!(!breaker.answered(IN_TIME, DEADLINE));
        assert!(breaker.answered(IN_TIME, DEADLINE));
        advance(QUIET).await;
        assert!(breaker.trip(HASTY), "it may have become quicker meanwhile");
    }

    #[tokio::test]
    async fn the_first_answer_after_a_standstill_does_not_tell_how_quick_a_server_is() {
        pause();
        let breaker = Breaker::default();
        const HASTY: Duration = Duration::from_millis(5);
        assert!(breaker.trip(HASTY));
        assert!(!breaker.answered(IN_TIME, DEADLINE));
        assert!(breaker.answered(HASTY / 5, DEADLINE));
        assert!(breaker.trip(HASTY), "it stands still again");
    }

    #[tokio::test]
    async fn a_server_that_was_away_is_taken_back_at_once() {
        pause();
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.trip(DEADLINE);
            time_open(&breaker).await;
        }
        breaker.trip(DEADLINE);
        breaker.forgive();
        breaker.unreachable();
        assert!(breaker.answered(IN_TIME, DEADLINE));
    }

    #[tokio::test]
    async fn one_answer_in_time_among_late_ones_does_not_close_it_again_and_again() {
        pause();
        let breaker = Breaker::default();
        breaker.trip(DEADLINE);
        assert!(breaker.answered(IN_TIME, DEADLINE));
        breaker.trip(DEADLINE);
        advance(Duration::from_secs(2)).await;
        for _ in 0..100 {
            assert!(!breaker.answered(IN_TIME, DEADLINE));
            assert!(!breaker.answered(LATE, DEADLINE));
        }
        assert!(!breaker.answered(IN_TIME, DEADLINE));
        assert!(breaker.answered(IN_TIME, DEADLINE));
    }
}
