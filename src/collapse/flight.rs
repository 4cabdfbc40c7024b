//! Flights: one leader works, many followers wait for what it finds.
//!
//! A flight lasts as long as its [`Lead`]. It ends when the leader has an outcome or is dropped,
//! whatever the reason: an early return, a panic, a task that is aborted, a runtime that is shut
//! down. A leader that is never polled again cannot end its flight, so every flight has a time
//! limit: nobody waits beyond it, and later calls begin another.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// The flights of this process, one entry for each key that has a leader.
pub(crate) struct Flights<K, O>(Mutex<HashMap<K, Flight<O>>>);

struct Flight<O> {
    outcome: watch::Receiver<Option<O>>,
    began: Instant,
    limit: Duration,
}

/// The part that a call has in a flight.
pub(crate) enum Claim<K: Eq + Hash, O> {
    Leader(Lead<K, O>),
    Follower(Follower<O>),
}

/// The leader's handle of its flight. Dropping it ends the flight.
pub(crate) struct Lead<K: Eq + Hash, O> {
    flights: Arc<Flights<K, O>>,
    key: K,
    sender: watch::Sender<Option<O>>,
    outcome: Option<O>,
}

pub(crate) struct Follower<O> {
    outcome: watch::Receiver<Option<O>>,
    began: Instant,
    wait: Duration,
    limit: Duration,
}

/// Why a follower gets no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The leader was dropped without one.
    Abandoned,
    /// The flight took longer than this, which is its own limit or the follower's.
    TimedOut(Duration),
}

/// A map of this capacity or less is not shrunk.
const SMALL: usize = 64;

impl<K: Clone + Eq + Hash, O> Flights<K, O> {
    /// Joins the flight of `key`, or begins one that may take as long as `limit`.
    pub(crate) fn claim(self: &Arc<Self>, key: &K, limit: Duration) -> Claim<K, O> {
        let now = Instant::now();
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key) {
            let left = flight.limit.saturating_sub(now - flight.began);
            if !left.is_zero() {
                return Claim::Follower(Follower {
                    outcome: flight.outcome.clone(),
                    began: now,
                    wait: left.min(limit),
                    limit: flight.limit.min(limit),
                });
            }
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight {
            outcome,
            began: now,
            limit,
        };
        flights.insert(key.clone(), flight);
        Claim::Leader(Lead {
            flights: self.clone(),
            key: key.clone(),
            sender,
            outcome: None,
        })
    }
}

impl<K: Eq + Hash, O> Flights<K, O> {
    /// Keeps later calls from joining the flight that is under way: what it finds may be out of date.
    pub(crate) fn forget(&self, key: &K) {
        remove(&mut self.lock(), key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<O>>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a flight, and gives memory back when the map once held many more.
fn remove<K: Eq + Hash, O>(flights: &mut HashMap<K, Flight<O>>, key: &K) {
    flights.remove(key);
    if flights.capacity() > SMALL && flights.len() < flights.capacity() / 8 {
        flights.shrink_to(flights.len() * 2);
    }
}

impl<K, O> Default for Flights<K, O> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, O> Lead<K, O> {
    /// Ends the flight with an outcome for all who wait.
    pub(crate) fn finish(mut self, outcome: O) {
        self.outcome = Some(outcome);
    }
}

impl<K: Eq + Hash, O> Lead<K, O> {
    /// Lets nobody join any more; those who have joined go on waiting.
    pub(crate) fn close(&self) {
        let mut flights = self.flights.lock();
        let own = self.sender.subscribe();
        let flight = flights.get(&self.key);
        // It may have been forgotten, and another one begun since.
        if flight.is_some_and(|flight| flight.outcome.same_channel(&own)) {
            remove(&mut flights, &self.key);
        }
    }
}

impl<K: Eq + Hash, O> Drop for Lead<K, O> {
    fn drop(&mut self) {
        // First, so that a follower that looks again does not find the flight that has ended.
        self.close();
        if let Some(outcome) = self.outcome.take() {
            self.sender.send_replace(Some(outcome));
        }
    }
}

impl<O: Clone> Follower<O> {
    /// Waits for the leader's outcome.
    pub(crate) async fn outcome(mut self) -> Result<O, Lost> {
        let left = self.wait.saturating_sub(self.began.elapsed());
        let outcome = self.outcome.wait_for(Option::is_some);
        match tokio::time::timeout(left, outcome).await {
            Ok(Ok(outcome)) => outcome.clone().ok_or(Lost::Abandoned),
            Ok(Err(_)) => Err(Lost::Abandoned),
            Err(_) => Err(Lost::TimedOut(self.limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn flights() -> Arc<Flights<u32, &'static str>> {
        Arc::default()
    }

    fn leader(claim: Claim<u32, &'static str>) -> Lead<u32, &'static str> {
        match claim {
            Claim::Leader(lead) => lead,
            Claim::Follower(_) => panic!("a follower"),
        }
    }

    fn follower(claim: Claim<u32, &'static str>) -> Follower<&'static str> {
        match claim {
            Claim::Follower(follower) => follower,
            Claim::Leader(_) => panic!("a leader"),
        }
    }

    #[tokio::test]
    async fn followers_get_the_leaders_outcome_and_the_entry_goes_with_the_flight() {
        let flights = flights();
        let lead = leader(flights.claim(&1, LIMIT));
        let (one, two) = (flights.claim(&1, LIMIT), flights.claim(&1, LIMIT));
        let other = leader(flights.claim(&2, LIMIT));
        lead.finish("found");
        assert_eq!(follower(one).outcome().await, Ok("found"));
        assert_eq!(follower(two).outcome().await, Ok("found"));
        drop(other);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_dropped_releases_its_followers_at_once() {
        let flights = flights();
        let begin = Instant::now();
        let lead = leader(flights.claim(&1, LIMIT));
        let waiting = follower(flights.claim(&1, LIMIT));
        drop(lead);
        assert_eq!(waiting.outcome().await, Err(Lost::Abandoned));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        drop(leader(flights.claim(&1, LIMIT)));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beyond_the_flights_limit_or_its_own() {
        let flights = flights();
        let begin = Instant::now();
        let stuck = leader(flights.claim(&1, LIMIT));
        tokio::time::advance(LIMIT / 2).await;
        let (late, hasty) = (flights.claim(&1, LIMIT), flights.claim(&1, LIMIT / 5));
        let result = follower(hasty).outcome().await;
        assert_eq!(result, Err(Lost::TimedOut(LIMIT / 5)));
        let result = follower(late).outcome().await;
        assert_eq!(result, Err(Lost::TimedOut(LIMIT)));
        assert!(begin.elapsed() < LIMIT + Duration::from_millis(10));
        // The next call begins another flight, which the stuck leader does not end.
        let next = leader(flights.claim(&1, LIMIT));
        let waiting = follower(flights.claim(&1, LIMIT));
        stuck.finish("too late");
        next.finish("found");
        assert_eq!(waiting.outcome().await, Ok("found"));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_flight_that_was_forgotten_is_not_joined_and_still_has_an_outcome() {
        let flights = flights();
        let old = leader(flights.claim(&1, LIMIT));
        let before = follower(flights.claim(&1, LIMIT));
        flights.forget(&1);
        let new = leader(flights.claim(&1, LIMIT));
        let after = follower(flights.claim(&1, LIMIT));
        old.finish("old");
        assert_eq!(before.outcome().await, Ok("old"));
        new.finish("new");
        assert_eq!(after.outcome().await, Ok("new"));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_flight_that_was_closed_is_not_joined_and_has_an_outcome_for_those_who_were_there() {
        let flights = flights();
        let old = leader(flights.claim(&1, LIMIT));
        let before = follower(flights.claim(&1, LIMIT));
        old.close();
        let new = leader(flights.claim(&1, LIMIT));
        // Only its own flight.
        old.close();
        let after = follower(flights.claim(&1, LIMIT));
        new.finish("new");
        old.finish("old");
        assert_eq!(before.outcome().await, Ok("old"));
        assert_eq!(after.outcome().await, Ok("new"));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn the_map_is_bounded_by_what_is_in_flight() {
        let flights = flights();
        let leads: Vec<_> = (0..10_000).map(|key| flights.claim(&key, LIMIT)).collect();
        assert_eq!(flights.lock().len(), 10_000);
        drop(leads);
        let flights = flights.lock();
        assert!(flights.is_empty() && flights.capacity() <= SMALL * 2);
    }

    #[tokio::test]
    async fn any_duration_is_a_limit() {
        let flights = flights();
        let lead = leader(flights.claim(&1, Duration::MAX));
        let waiting = follower(flights.claim(&1, Duration::MAX));
        lead.finish("found");
        assert_eq!(waiting.outcome().await, Ok("found"));
        drop(leader(flights.claim(&1, Duration::ZERO)));
    }
}
