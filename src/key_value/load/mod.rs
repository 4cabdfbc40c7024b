//! Cache-aside: read, else load once and store.
//!
//! A call that finds no value [joins](join) the load that is under way in its process, or leads one
//! ([`Flights`](crate::collapse::Flights)). The leader's [task](task) takes the lease that makes it
//! the one load over all processes, or waits until another process has stored the value.

mod answer;
mod failures;
mod join;
mod lease;
mod task;

use std::{any::Any, fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

pub(super) use answer::{Answer, Present};
pub(super) use failures::Failures;

use super::{
    Codec, KeyValue, LoadError,
    policy::{Freshness, LoadPolicy, Serve},
    read::{Found, Wanted},
};
use crate::{
    StoreError,
    collapse::Flights,
    store::{Key, operations::tag::TagName},
};

/// The loads under way in this process.
pub(super) type Loads = Flights<Key, Outcome>;

/// What a load has come to, for those who wait for it.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The value as it is stored.
    Loaded(Bytes),
    /// A value that was not stored, because it was set, deleted or invalidated since the load
    /// began. A call that joined after that change must not get it.
    Overtaken(Bytes),
    /// A value of a load that had no lease or has not heard of it in the end, so that nobody knows
    /// whether it was changed since. A call that has reached the store itself must not get it.
    Unfenced(Bytes),
    /// A value that the codec cannot write: only the caller that loaded it has it.
    Unserializable,
    /// The loader's error. Followers with another error type load for themselves.
    Failed(Arc<dyn Any + Send + Sync>),
    Panicked,
    TimedOut(Duration),
}

/// What is to be loaded, and how.
struct Plan {
    key: Key,
    tags: Vec<TagName>,
    policy: LoadPolicy,
}

/// What a call knows of the store when it begins to load.
struct Known {
    /// Whether the store answered a moment ago: else a second call would cost a second deadline.
    reachable: bool,
    /// The identity of a value that is to be replaced.
    replace: Option<Bytes>,
}

/// What a call has found instead of an answer that needs no load.
struct Missed<A> {
    known: Known,
    meanwhile: Option<Meanwhile<A>>,
}

/// A value that is to be loaded anew, and may be served.
enum Meanwhile<A> {
    /// While that is done in the background.
    AtOnce(A),
    /// If that fails.
    OnError(A),
}

impl<C: Codec> KeyValue<C> {
    /// The value of `id`, which `loader` provides where there is none, and which is kept for
    /// `ttl` then. Short for [`entry(id)`](Self::entry)`.ttl(ttl).`[`or_load(loader)`].
    ///
    /// Concurrent calls for one id share one load, also those of other processes on the same
    /// Redis. It runs in a task of its own, in the current tracing span, and so goes on when the
    /// call that began it is dropped, because its client went away for example: the next call
    /// finds what it has stored. It ends after the [load timeout](Self::with_load_timeout), a
    /// minute by default, and nobody waits longer than that. When its process dies, another one
    /// takes over within five seconds. A loader must not call `get_or_load` for the same id: it would
    /// wait for itself.
    ///
    /// One `GET`, one round trip, where there is a value; with
    /// [windows](Self::with_stale_while_revalidate) or
    /// [early refresh](Self::with_early_refresh) a `PTTL` in the same round trip. Where there is
    /// none, two EVALSHA more, a round trip each: one before the load, one after. While another
    /// process loads, an EVALSHA every 5 to 100 ms, by one of the calls that wait in this process.
    /// A load that takes longer renews its lease every 1.7 seconds, by one EVALSHA; one that fails
    /// gives it back by one that nobody waits for. The value is not stored when it was set,
    /// deleted or invalidated since, or when the store fails or has no room for it.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// let query = || async { Ok::<_, Infallible>("Ada".to_owned()) };
    /// assert_eq!(names.get_or_load(42, USER_DATA_TTL, query).await?, "Ada");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the load fails: the loader's error, its panic or a load that takes too long, for all
    /// calls of this process that waited for it. A store that fails is none: the value is loaded.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with a timer.
    ///
    /// [`or_load(loader)`]: super::Entry::or_load
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
        let policy = LoadPolicy { ttl, ..self.policy };
        let wanted = Wanted {
            key: &self.key(id),
            tags: &[],
            policy: &policy,
        };
        let loader = || async { loader().await.map(Present) };
        let Present(value) = self.load(wanted, loader).await?;
        Ok(value)
    }

    /// Reads the value, and loads it if that is needed.
    pub(super) async fn load<A, E, F, Fut>(
        &self,
        wanted: Wanted<'_>,
        loader: F,
    ) -> Result<A, LoadError<E>>
    where
        A: Answer<Value: Serialize + DeserializeOwned>,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
    {
        let budget = wanted.policy.budget.map(|budget| (budget, Instant::now()));
        let found = self.find(wanted, Serve::Windows);
        let found = match budget {
            None => found.await,
            // On the heap, so that a call without a budget is a small future.
            Some((budget, _)) => match Box::pin(timeout(budget, found)).await {
                Ok(found) => found,
                Err(_) => return Err(LoadError::TimedOut(budget)),
            },
        };
        let missed = match self.answer(found) {
            Ok(answer) => return Ok(answer),
            Err(missed) => missed,
        };
        let plan = Plan {
            key: wanted.key.clone(),
            tags: wanted.tags.to_vec(),
            policy: *wanted.policy,
        };
        // On the heap, so that a call that finds a value is a small future.
        Box::pin(self.load_missed(plan, missed, budget, loader)).await
    }

    /// The answer, if what was found is one that needs no load.
    fn answer<A>(&self, found: Result<Found, StoreError>) -> Result<A, Missed<A>>
    where
        A: Answer<Value: DeserializeOwned>,
    {
        let mut missed = Missed {
            known: Known {
                reachable: true,
                replace: None,
            },
            meanwhile: None,
        };
        match found {
            Ok(Found::Value(opened, freshness)) => {
                let answer = self.decode(&opened).and_then(A::from_stored);
                missed.meanwhile = match (answer, freshness) {
                    (Some(answer), Freshness::Fresh) => return Ok(answer),
                    (Some(answer), Freshness::Refresh) => Some(Meanwhile::AtOnce(answer)),
                    (Some(answer), Freshness::UnlessLoaded) => Some(Meanwhile::OnError(answer)),
                    (_, Freshness::Stale) | (None, _) => None,
                };
                missed.known.replace = Some(opened.identity());
            }
            Ok(Found::Unusable(identity)) => missed.known.replace = Some(identity),
            Ok(Found::Missing) => {}
            Err(error) => {
                self.report(&error, "loading a value that cannot be read");
                missed.known.reachable = false;
            }
        }
        Err(missed)
    }

    /// Loads what was not found, within what is left of the call's budget, which began then.
    async fn load_missed<A, E, F, Fut>(
        &self,
        plan: Plan,
        Missed { known, meanwhile }: Missed<A>,
        budget: Option<(Duration, Instant)>,
        loader: F,
    ) -> Result<A, LoadError<E>>
    where
        A: Answer<Value: Serialize + DeserializeOwned>,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
    {
        let stale = match meanwhile {
            None => None,
            Some(Meanwhile::AtOnce(answer) | Meanwhile::OnError(answer))
                if !self.failures.may_load(&plan.key) =>
            {
                return Ok(answer);
            }
            Some(Meanwhile::AtOnce(answer)) => {
                self.refresh(plan, known, loader);
                return Ok(answer);
            }
            Some(Meanwhile::OnError(answer)) => Some(answer),
        };
        let load = self.load_once(plan, known, loader);
        let result = match budget {
            Some((budget, began)) => {
                let left = budget.saturating_sub(began.elapsed());
                let timed_out = |_| Err(LoadError::TimedOut(budget));
                timeout(left, load).await.unwrap_or_else(timed_out)
            }
            None => load.await,
        };
        match (result, stale) {
            (Err(_), Some(stale)) => {
                let prefix = &*self.prefix;
                tracing::warn!(target: "tower_keep::key_value", prefix, "a stale value is served because no other could be loaded");
                Ok(stale)
            }
            (result, _) => result,
        }
    }
}
