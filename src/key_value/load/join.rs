//! Who loads: the call itself, in a task of its own, or another one that it waits for.

use std::any::Any;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{
    Answer, Known, Outcome, Plan,
    task::{Load, WhenHeld},
};
use crate::{
    collapse::{Claim, Lead, Lost},
    key_value::{Codec, KeyValue, LoadError},
    store::{Key, operations::value::ValueKeys},
};

impl<C: Codec> KeyValue<C> {
    /// Joins the load that is under way, or leads one.
    pub(super) async fn load_once<A, E, F, Fut>(
        &self,
        plan: Plan,
        known: Known,
        loader: F,
    ) -> Result<A, LoadError<E>>
    where
        A: Answer<Value: Serialize + DeserializeOwned>,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
    {
        let limit = plan.policy.load_timeout;
        let mut earlier = true;
        let lead = loop {
            match self.loads.claim(&plan.key, limit) {
                Claim::Leader(lead) => break Some(lead),
                Claim::Follower(follower) => match follower.outcome().await {
                    // The value may have been changed before this call, but after this load
                    // began. The next load is no earlier than this call.
                    Ok(Outcome::Overtaken(_)) if earlier => earlier = false,
                    Ok(Outcome::Unfenced(_)) if earlier && known.reachable => earlier = false,
                    Ok(outcome) => match self.shared(outcome) {
                        Some(result) => return result,
                        // Others are in the same position: to load one after another would take
                        // the sum of all their times.
                        None => break None,
                    },
                    Err(Lost::TimedOut(limit)) => return Err(LoadError::TimedOut(limit)),
                    // The leader's runtime was shut down, or it was a refresh that was not needed.
                    Err(Lost::Abandoned) => {}
                },
            }
        };
        let when_held = match lead {
            Some(_) => WhenHeld::Wait,
            None => WhenHeld::LoadUnstored,
        };
        let task = tokio::spawn(
            self.task(plan, known, when_held, lead)
                .run(loader)
                .in_current_span(),
        );
        match timeout(limit, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => Err(LoadError::Panicked),
            Ok(Err(_)) => Err(LoadError::Cancelled),
            Err(_) => Err(LoadError::TimedOut(limit)),
        }
    }

    /// Loads a new value in the background, unless that is being done.
    pub(super) fn refresh<A, E, F, Fut>(&self, plan: Plan, known: Known, loader: F)
    where
        A: Answer<Value: Serialize + DeserializeOwned>,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
    {
        if let Claim::Leader(lead) = self.loads.claim(&plan.key, plan.policy.load_timeout) {
            let load = self.task(plan, known, WhenHeld::GiveUp, Some(lead));
            let prefix = self.prefix.clone();
            let refresh = async move {
                let loaded = load.run(loader).await;
                // Cancelled is one that another process is doing.
                if !matches!(loaded, Ok(_) | Err(LoadError::Cancelled)) {
                    tracing::warn!(target: "tower_keep::key_value", prefix = &*prefix, "a value was not refreshed");
                }
            };
            tokio::spawn(refresh.in_current_span());
        }
    }

    fn task(
        &self,
        plan: Plan,
        known: Known,
        when_held: WhenHeld,
        lead: Option<Lead<Key, Outcome>>,
    ) -> Load<C> {
        Load {
            values: self.clone(),
            keys: ValueKeys::new(self.store.names(), plan.key),
            tags: plan.tags,
            policy: plan.policy,
            known,
            when_held,
            lead,
        }
    }

    /// A follower's part of the outcome; `None` if it is of no use to it, for example because
    /// its types are others than the leader's.
    fn shared<A, E>(&self, outcome: Outcome) -> Option<Result<A, LoadError<E>>>
    where
        A: Answer<Value: DeserializeOwned>,
        E: Any + Send + Sync,
    {
        match outcome {
            Outcome::Loaded(stored) | Outcome::Overtaken(stored) | Outcome::Unfenced(stored) => {
                let opened = self.open(stored).ok()?;
                self.decode(&opened).and_then(A::from_stored).map(Ok)
            }
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
