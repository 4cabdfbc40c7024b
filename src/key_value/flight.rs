//! The loads under way in this process: concurrent calls for one key share one.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::store::Key;

#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>);

/// What a load has come to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The value as it is stored.
    Loaded(Bytes),
    /// The loader's error, whose type is the leader's.
    Failed(Arc<dyn Any + Send + Sync>),
}

/// What a call that needs a value becomes.
#[derive(Debug)]
pub(super) enum Claim {
    /// The one that loads it.
    Leader(Lead),
    /// One that waits for it.
    Follower(Follower),
}

/// The leader's hold on its entry. However it ends, nobody waits for it any longer.
#[derive(Debug)]
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    sender: watch::Sender<Option<Outcome>>,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
pub(super) struct Follower(watch::Receiver<Option<Outcome>>);

impl Flights {
    pub(super) fn claim(self: &Arc<Self>, key: &Key) -> Claim {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key) {
            return Claim::Follower(Follower(flight.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(key.clone(), receiver);
        Claim::Leader(Lead {
            flights: self.clone(),
            key: key.clone(),
            sender,
            outcome: None,
        })
    }

    /// Lets later calls join no load that is under way now: what it finds may be out of date.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Outcome>>>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Ends the flight with something to share.
    pub(super) fn finish(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        {
            let mut flights = self.flights.lock();
            let own = self.sender.subscribe();
            if (flights.get(&self.key)).is_some_and(|flight| flight.same_channel(&own)) {
                flights.remove(&self.key);
            }
        }
        // Now: whoever wakes and looks again does not find this flight.
        if let Some(outcome) = self.outcome.take() {
            self.sender.send_replace(Some(outcome));
        }
    }
}

impl Follower {
    /// The outcome, or `None` when the leader was cancelled, has panicked or has nothing to share.
    pub(super) async fn outcome(mut self) -> Option<Outcome> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}
