//! One limiter that is asked about one subject: by its store or, where that fails, in this process.

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision,
    local_denials::{Denied, Recheck},
    on_store_error::RateLimitOnStoreError,
    part::Part,
    permit::Permit,
    places::new_place,
    policy_set::PolicySet,
    reservation::Reserved,
};
use crate::store::{
    Store, StoreError,
    operations::limit::{
        Acquire, Acquired, Marks, NamedLimit, PerLimit, Place, PlaceId, ReleasePlace, Settle,
    },
};

pub(super) struct Inquiry {
    part: Part,
    pub(super) cost: u64,
    /// The id of the places that it takes of concurrency limits; `None` where there are no such
    /// limits, and where the cost is 0.
    place: Option<PlaceId>,
    /// Whether a denial is one more on the way to a ban. While the request may still wait, it is not.
    counts_denial: bool,
    /// The answer decides about a denial that this process knows.
    recheck: Option<Recheck>,
    /// The policies of the limiter in this process, once the store has failed and that is asked.
    local: Option<PolicySet>,
}

/// What takes the place of an answer that the store has not given.
pub(super) enum Instead {
    /// The answer of the limiter in this process, which is the [store](Inquiry::store) from now on.
    Local,
    /// Nothing is limited.
    Unlimited,
    Refused,
}

impl Inquiry {
    pub(super) fn new(part: Part, cost: u64, may_wait: bool, recheck: Option<Recheck>) -> Self {
        Self {
            place: (cost > 0 && part.set.has_places()).then(new_place),
            counts_denial: !may_wait,
            part,
            cost,
            recheck,
            local: None,
        }
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }

    /// The store to ask.
    pub(super) fn store(&self) -> &Store {
        match (&self.part.limits.fallback, &self.local) {
            (Some(fallback), Some(_)) => &fallback.store,
            _ => &self.part.limits.store,
        }
    }

    /// The policies to ask for.
    pub(super) fn set(&self) -> &PolicySet {
        self.local.as_ref().unwrap_or(&self.part.set)
    }

    pub(super) fn acquire(&self, reserves: bool) -> Acquire {
        Acquire {
            names: self.store().names().clone(),
            subject: self.part.subject,
            limits: self.set().limits.clone(),
            ban: self.part.limits.named_ban.clone(),
            counts_denial: self.counts_denial,
            cost: self.cost,
            // Where there are no places, it is not asked for.
            place: self.place.unwrap_or(PlaceId(0)),
            reserves,
        }
    }

    /// What follows from a failure of the store.
    pub(super) fn without_the_store(&mut self, error: &StoreError) -> Instead {
        // Nobody learns more by asking again at once.
        self.answers_recheck();
        let limits = &self.part.limits;
        let policy = limits.on_store_error;
        tracing::debug!(target: "tower_keep::rate_limit", %error, ?policy, "the limits are not known");
        match (policy, &limits.fallback) {
            (RateLimitOnStoreError::Allow, _) => Instead::Unlimited,
            (_, Some(fallback)) if self.local.is_none() => {
                self.local = Some(fallback.set_for(&self.part.set, &limits.set));
                Instead::Local
            }
            // In this process too there is no room: nothing passes uncounted by accident.
            _ => Instead::Refused,
        }
    }

    /// Whether what has come answers a recheck, which then is done.
    fn answers_recheck(&mut self) -> bool {
        self.recheck.take().map(Recheck::answered).is_some()
    }

    /// Keeps the process's own denials in step with the answer to what was sent at `sent_at`.
    pub(super) fn remember(&mut self, acquired: &Acquired, sent_at: Instant) {
        let recheck = self.answers_recheck();
        let Part {
            limits,
            set,
            subject,
            ..
        } = &self.part;
        if self.local.is_some() {
            return;
        }
        let denials = &limits.local_denials;
        if acquired.is_admitted() {
            if recheck {
                denials.end(*subject);
            }
            return;
        }
        denials.put(Denied {
            subject: *subject,
            cost: self.cost,
            limits: &set.limits,
            acquired,
            brings_ban: limits.named_ban.is_some(),
            sent_at,
            recheck,
        });
    }

    /// Whether a denial has to be told to the store once more: as the one that is final.
    pub(super) fn counts_denial_next(&mut self, decision: &RateLimitDecision) -> bool {
        let counted = std::mem::replace(&mut self.counts_denial, true);
        let bans = self.part.limits.named_ban.is_some() && self.cost > 0;
        bans && !counted && !decision.is_banned()
    }

    pub(super) fn decision(&self, acquired: &Acquired) -> RateLimitDecision {
        RateLimitDecision::new(
            &self.part.limits,
            self.set(),
            self.part.subject,
            &acquired.outcomes,
            acquired.banned,
            self.local.is_some(),
        )
    }

    /// What the caller of an admitted request gets: with its places and, if it has asked for one,
    /// its reservation.
    pub(super) fn permit(&self, acquired: Acquired, reserves: bool) -> Permit {
        let mut decision = self.decision(&acquired);
        if let Some(marks) = acquired.marks.filter(|_| reserves) {
            decision.reserve(Reserved {
                limits: self.part.limits.clone(),
                store: self.store().clone(),
                set: self.set().clone(),
                subject: self.part.subject,
                marks,
                cost: self.cost,
                settled: false.into(),
            });
        }
        let places = self.places();
        let held = (!places.is_empty()).then(|| self.part.limits.places.hold(self.store(), places));
        Permit::new(decision, held.into_iter().collect())
    }

    /// The places that an admitted request has.
    fn places(&self) -> PerLimit<Place> {
        let Some(id) = self.place else {
            return PerLimit::new();
        };
        let place = |limit: &NamedLimit| Place {
            names: self.store().names().clone(),
            subject: self.part.subject,
            limit: limit.clone(),
            id,
        };
        let limits = self.set().limits.iter();
        let concurrent = limits.filter(|named| named.limit.is_concurrency());
        concurrent.map(place).collect()
    }

    /// What gives the places of an admitted request back.
    pub(super) fn release(&self) -> Vec<ReleasePlace> {
        self.places().into_iter().map(ReleasePlace).collect()
    }

    /// What gives back all that an admitted request has taken.
    pub(super) fn give_back(&self, marks: Marks) -> (Settle, Vec<ReleasePlace>) {
        let settle = Settle {
            names: self.store().names().clone(),
            subject: self.part.subject,
            limits: self.set().limits.clone(),
            marks,
            units: self.cost,
        };
        (settle, self.release())
    }

    pub(super) fn is_local(&self) -> bool {
        self.local.is_some()
    }
}
