//! Cache-aside: read, else load once and store.

use std::{any::Any, fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    KeyValue, envelope,
    flight::{Claim, Lead, Outcome},
    service::at_least_a_millisecond,
};
use crate::store::operations::{
    generation::Generation,
    value::{Announce, Announced, Fill, Place},
};

/// How long a load may take. What takes longer is not stored.
const LEASE: Duration = Duration::from_secs(60);

/// What the leader of a flight finds before it loads.
enum Start<T> {
    /// Somebody else has stored a value.
    Present(T, Bytes),
    /// Nothing: it loads, and stores that if its load is announced under a generation.
    Load(Option<Generation>),
}

impl KeyValue {
    /// The value of `id`, which `loader` provides where there is none, and which is kept for
    /// `ttl` then.
    ///
    /// Concurrent calls for one id share one load. The loader belongs to the call that runs it:
    /// when that one is cancelled, or panics, another of them loads. A loader must not call
    /// `get_or_load` for the same id, for it would wait for itself. `T = Option<_>` keeps the
    /// fact that there is nothing, too.
    ///
    /// One `GET`, one round trip, where there is a value. Where there is none, two EVALSHA
    /// more, a round trip each: one before the load, one after. The value is not stored when it
    /// was set or deleted since, when it took longer than a minute, or when the store fails.
    ///
    /// # Errors
    ///
    /// The loader's, for all calls that waited for it. A store that fails is none: the value is
    /// loaded.
    pub async fn get_or_load<T, E, F, Fut>(
        &self,
        id: impl Display,
        ttl: Duration,
        loader: F,
    ) -> Result<T, Arc<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let place = self.place(id);
        let reachable = match self.read(&place).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => true,
            Err(error) => {
                self.report(&error, "loading a value that cannot be read");
                false
            }
        };
        let lead = loop {
            match self.flights.claim(&place.value) {
                Claim::Leader(lead) => break lead,
                Claim::Follower(follower) => {
                    let outcome = follower.outcome().await;
                    if let Some(result) = outcome.and_then(|outcome| self.shared(outcome)) {
                        return result;
                    }
                }
            }
        };
        self.load(place, ttl, reachable, loader, lead).await
    }

    /// The leader's part.
    async fn load<T, E, F, Fut>(
        &self,
        place: Place,
        ttl: Duration,
        reachable: bool,
        loader: F,
        lead: Lead,
    ) -> Result<T, Arc<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let start = match reachable {
            true => self.start(&place).await,
            // A second call would cost a second deadline.
            false => Start::Load(None),
        };
        let generation = match start {
            Start::Present(value, stored) => {
                lead.finish(Outcome::Loaded(stored));
                return Ok(value);
            }
            Start::Load(generation) => generation,
        };
        match loader().await {
            Ok(value) => {
                self.fill(place, generation, &value, ttl, lead).await;
                Ok(value)
            }
            Err(error) => {
                let error = Arc::new(error);
                lead.finish(Outcome::Failed(error.clone()));
                Err(error)
            }
        }
    }

    /// A follower's part of the outcome; `None` if it is of no use to it, for its types are
    /// others than the leader's.
    fn shared<T, E>(&self, outcome: Outcome) -> Option<Result<T, Arc<E>>>
    where
        T: DeserializeOwned,
        E: Any + Send + Sync,
    {
        match outcome {
            Outcome::Loaded(stored) => self.decode(&stored).map(Ok),
            Outcome::Failed(error) => error.downcast().ok().map(Err),
        }
    }

    async fn start<T: DeserializeOwned>(&self, place: &Place) -> Start<T> {
        let mut replace = false;
        loop {
            let announce = Announce {
                place: place.clone(),
                generation: Generation::random(),
                lease: LEASE,
                replace,
            };
            match self.store.execute(announce).await {
                Ok(Announced::Load(generation)) => return Start::Load(Some(generation)),
                Ok(Announced::Present(stored)) => match self.decode(&stored) {
                    Some(value) => return Start::Present(value, stored),
                    None => replace = true,
                },
                Err(error) => {
                    self.report(&error, "loading a value that will not be stored");
                    return Start::Load(None);
                }
            }
        }
    }

    async fn fill<T: Serialize>(
        &self,
        place: Place,
        generation: Option<Generation>,
        value: &T,
        ttl: Duration,
        lead: Lead,
    ) {
        let value = match envelope::encode(self.schema, value) {
            Ok(value) => value,
            Err(error) => {
                tracing::error!(target: "tower_keep::key_value", %error, "a loaded value cannot be serialized");
                return;
            }
        };
        if let Some(generation) = generation {
            let fill = Fill {
                place,
                generation,
                value: value.clone(),
                ttl: at_least_a_millisecond(ttl),
            };
            if let Err(error) = self.store.execute(fill).await {
                self.report(&error, "a loaded value is not stored");
            }
        }
        // Not before it is stored: a call that comes now would load again.
        lead.finish(Outcome::Loaded(value));
    }
}
