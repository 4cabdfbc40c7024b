//! A cost that was taken ahead and may turn out to be another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{limits::Limits, policy_set::PolicySet};
use crate::{
    store::{
        Store, StoreError,
        operations::limit::{Acquire, Marks, PlaceId, Settle, Subject},
    },
    to_the_end::to_the_end,
};

/// What a request has reserved. It can be settled once; if it never is, it stays charged.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(super) limits: Arc<Limits>,
    pub(super) store: Store,
    pub(super) set: PolicySet,
    pub(super) subject: Subject,
    pub(super) marks: Marks,
    pub(super) cost: u64,
    pub(super) settled: AtomicBool,
}

impl Reserved {
    /// Makes the cost `actual`, also if the caller leaves meanwhile. Answers whether this was the
    /// call that settled it.
    pub(crate) async fn settle(self: Arc<Self>, actual: u64) -> Result<bool, StoreError> {
        if self.settled.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        let settled = to_the_end(async move { self.correct(actual).await }).await;
        settled
            .unwrap_or(Err(StoreError::Unavailable))
            .map(|()| true)
    }

    async fn correct(&self, actual: u64) -> Result<(), StoreError> {
        if actual < self.cost {
            let settle = self.store.execute(Settle {
                names: self.store.names().clone(),
                subject: self.subject,
                limits: self.set.limits.clone(),
                marks: self.marks.clone(),
                units: self.cost - actual,
            });
            let result = settle.await;
            self.limits.local_denials.end(self.subject);
            result?;
        } else if actual > self.cost {
            self.take_more(actual - self.cost).await?;
        }
        Ok(())
    }

    /// Takes what was needed beyond the reservation, or as much of it as is left.
    async fn take_more(&self, units: u64) -> Result<(), StoreError> {
        let left = self.take(units).await?;
        if let Some(left) = left.filter(|left| *left > 0) {
            self.take(left).await?;
        }
        Ok(())
    }

    /// What is left of the tightest limit, if the units could not be taken. It is asked of the store
    /// that has given the reservation. Nobody waits for it, and no ban counts it: the request was
    /// admitted.
    async fn take(&self, units: u64) -> Result<Option<u64>, StoreError> {
        let limits = self.set.without_places().limits;
        if limits.is_empty() {
            return Ok(None);
        }
        let acquire = Acquire {
            names: self.store.names().clone(),
            subject: self.subject,
            limits,
            ban: None,
            counts_denial: false,
            cost: units,
            place: PlaceId(0),
            reserves: false,
        };
        let acquired = self.store.execute(acquire).await?;
        let left = acquired.outcomes.iter().map(|outcome| outcome.remaining);
        Ok(left.min().filter(|_| !acquired.is_admitted()))
    }
}
