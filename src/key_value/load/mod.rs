//! Cache-aside: read, else load once and store.

mod lease;

use std::{any::Any, fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{KeyValue, LoadError, envelope};
use lease::Lease;

use crate::{
    collapse::{CatchPanic, Claim, Flights, Lead, Lost},
    store::{
        Key,
        operations::value::{Taken, ValueKeys},
    },
};

/// The loads under way in this process.
pub(super) type Loads = Flights<Key, Outcome>;

/// What a load has come to, for those who wait for it.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The value as it is stored.
    Loaded(Bytes),
    /// A value that was not stored, because the key was set or deleted since the load began. A
    /// call that joined after that change must not get it.
    Overtaken(Bytes),
    /// A value that cannot be written as JSON: only the caller that loaded it has it.
    Unserializable,
    /// The loader's error. Followers with another error type load for themselves.
    Failed(Arc<dyn Any + Send + Sync>),
    Panicked,
    TimedOut(Duration),
}

impl KeyValue {
    /// The value of `id`, which `loader` provides where there is none, and which is kept for
    /// `ttl` then.
    ///
    /// Concurrent calls for one id share one load. It runs in a task of its own, in the current
    /// tracing span, and so goes on when the call that began it is dropped, because its client
    /// went away for example: the next call finds what it has stored. It ends after the
    /// [load timeout](Self::with_load_timeout), a minute by default, and nobody waits longer
    /// than that. A loader must not call `get_or_load` for the same id: it would wait for itself.
    ///
    /// `T = Option<_>` keeps the fact that there is nothing, too.
    ///
    /// One `MGET`, one round trip, where there is a value. Where there is none, two EVALSHA
    /// more, a round trip each: one before the load, one after. When the load fails, one `SREM`
    /// that nobody waits for takes the place of the second. The value is not stored when it was
    /// set or deleted since, or when the store fails or has no room for it.
    ///
    /// # Errors
    ///
    /// When the load fails: the loader's error, its panic or a load that takes too long, for all
    /// calls that waited for it. A store that fails is none: the value is loaded.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with a timer.
    pub async fn get_or_load<T, E, F, Fut>(
        &self,
        id: impl Display,
        ttl: Duration,
        loader: F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let key = self.key(id);
        let reachable = match self.read(&key).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => true,
            Err(error) => {
                self.report(&error, "loading a value that cannot be read");
                false
            }
        };
        let mut earlier = true;
        let lead = loop {
            match self.loads.claim(&key, self.load_timeout) {
                Claim::Leader(lead) => break Some(lead),
                Claim::Follower(follower) => match follower.outcome().await {
                    // Another process may have deleted the value before this call, but after
                    // this load began. The next load is no earlier than this call.
                    Ok(Outcome::Overtaken(_)) if earlier => earlier = false,
                    Ok(outcome) => match self.shared(outcome) {
                        Some(result) => return result,
                        // Others are in the same position: to load one after another would take
                        // the sum of all their times.
                        None => break None,
                    },
                    Err(Lost::TimedOut(limit)) => return Err(LoadError::TimedOut(limit)),
                    // The leader's runtime was shut down.
                    Err(Lost::Abandoned) => {}
                },
            }
        };
        let load = Load {
            values: self.clone(),
            keys: ValueKeys::new(self.store.names(), key),
            ttl,
            reachable,
            lead,
        };
        let task = tokio::spawn(load.run(loader).in_current_span());
        match timeout(self.load_timeout, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => Err(LoadError::Panicked),
            Ok(Err(_)) => Err(LoadError::Cancelled),
            Err(_) => Err(LoadError::TimedOut(self.load_timeout)),
        }
    }

    /// A follower's part of the outcome; `None` if it is of no use to it, for example because
    /// its types are others than the leader's.
    fn shared<T, E>(&self, outcome: Outcome) -> Option<Result<T, LoadError<E>>>
    where
        T: DeserializeOwned,
        E: Any + Send + Sync,
    {
        match outcome {
            Outcome::Loaded(stored) | Outcome::Overtaken(stored) => self.decode(&stored).map(Ok),
            Outcome::Unserializable => None,
            Outcome::Failed(error) => {
                let error = error.downcast().ok()?;
                Some(Err(LoadError::Loader(error)))
            }
            Outcome::Panicked => Some(Err(LoadError::Panicked)),
            Outcome::TimedOut(limit) => Some(Err(LoadError::TimedOut(limit))),
        }
    }
}

/// A load as its task has it. Dropping it at any point releases its followers and its lease.
struct Load {
    values: KeyValue,
    keys: ValueKeys,
    ttl: Duration,
    /// Whether the store answered a moment ago: else a second call would cost a second deadline.
    reachable: bool,
    /// `None`: nobody waits for it but its caller.
    lead: Option<Lead<Key, Outcome>>,
}

/// What a load finds before it calls the loader.
enum Start<T> {
    /// Somebody else has stored a value.
    Present(T, Bytes),
    /// Nothing. With a lease, what is loaded may be stored.
    Load(Option<Lease>),
}

impl Load {
    async fn run<T, E, F, Fut>(mut self, loader: F) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let start = match self.reachable {
            true => self.announce().await,
            false => Start::Load(None),
        };
        let lease = match start {
            Start::Present(value, stored) => {
                self.finish(Outcome::Loaded(stored));
                return Ok(value);
            }
            Start::Load(lease) => lease,
        };
        let schema = self.values.schema;
        let work = async move {
            let value = loader().await?;
            let stored = envelope::encode(schema, &value);
            Ok((value, stored))
        };
        let limit = self.values.load_timeout;
        match timeout(limit, CatchPanic::new(work)).await {
            Ok(Ok(Ok((value, Ok(stored))))) => {
                // Others get it when it is stored: a call that came before would load again.
                let outcome = match lease {
                    Some(lease) => self.fill(lease, stored).await,
                    None => Outcome::Loaded(stored),
                };
                self.finish(outcome);
                Ok(value)
            }
            Ok(Ok(Ok((value, Err(error))))) => {
                tracing::error!(target: "tower_keep::key_value", %error, "a loaded value cannot be serialized");
                self.finish(Outcome::Unserializable);
                Ok(value)
            }
            Ok(Ok(Err(error))) => {
                let error: Arc<E> = Arc::new(error);
                self.finish(Outcome::Failed(error.clone()));
                Err(LoadError::Loader(error))
            }
            Ok(Err(_)) => {
                self.finish(Outcome::Panicked);
                Err(LoadError::Panicked)
            }
            Err(_) => {
                self.finish(Outcome::TimedOut(limit));
                Err(LoadError::TimedOut(limit))
            }
        }
    }

    async fn announce<T: DeserializeOwned>(&self) -> Start<T> {
        let mut replace = false;
        loop {
            let lease = Lease::new(&self.values.store, &self.keys);
            let announced = lease.announce(self.values.load_timeout, replace).await;
            match announced {
                Ok(Taken::Load) => return Start::Load(Some(lease)),
                Ok(Taken::Present(stored)) => {
                    lease.settle();
                    match self.values.decode(&stored) {
                        Some(value) => return Start::Present(value, stored),
                        None => replace = true,
                    }
                }
                Err(error) => {
                    let consequence = "loading a value that will not be stored";
                    self.values.report(&error, consequence);
                    return Start::Load(None);
                }
            }
        }
    }

    async fn fill(&self, lease: Lease, value: Bytes) -> Outcome {
        match lease.fill(value.clone(), self.ttl).await {
            Ok(true) => Outcome::Loaded(value),
            Ok(false) => Outcome::Overtaken(value),
            Err(error) => {
                self.values.report(&error, "a loaded value is not stored");
                Outcome::Loaded(value)
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(lead) = self.lead.take() {
            lead.finish(outcome);
        }
    }
}
