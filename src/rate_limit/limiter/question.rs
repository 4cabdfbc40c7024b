//! What is asked of the store for one request: a future without a box of its own.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{runtime::Handle, time::Instant};

use super::{
    asking::Asking,
    blocks::BlockWanted,
    decision::RateLimitDecision,
    limits::{Ask, Limits},
    local_denials::Denied,
    on_store_error::RateLimitOnStoreError,
    permit::Permit,
    places::new_place,
    policy_set::PolicySet,
    reservation::Reserved,
    waiting::Waiting,
};
use crate::store::{
    Store, StoreError,
    operations::limit::{
        Acquire, AcquireBlock, Acquired, NamedLimit, PerLimit, Place, PlaceId, ReleasePlace,
    },
};

pub(crate) struct Question {
    limits: Arc<Limits>,
    ask: Ask,
    sent_at: Instant,
    /// `None` while it waits for its turn.
    asking: Option<Asking>,
    /// What is asked for beside the cost.
    block: Option<BlockWanted>,
    waiting: Option<Waiting>,
    /// The answer decides about a denial that the process knows.
    recheck: bool,
    /// The policies of the limiter in this process, once the store has failed and that was asked.
    degraded: Option<PolicySet>,
    place: PlaceId,
}

/// What comes of a question.
#[allow(
    clippy::large_enum_variant,
    reason = "a request moves it once or twice; a box would be an allocation each"
)]
pub(crate) enum Answer {
    Decided(Permit),
    /// The store failed, and requests pass without a limit.
    Unlimited,
    Unavailable(StoreError),
}

impl Answer {
    /// Adds it to the metrics, if there are any.
    pub(super) fn count(&self, cost: u64) {
        #[cfg(feature = "metrics")]
        match self {
            Self::Decided(permit) => permit.count(cost),
            Self::Unlimited => crate::metrics::undecided("admitted"),
            Self::Unavailable(_) => crate::metrics::undecided("refused"),
        }
        #[cfg(not(feature = "metrics"))]
        let _ = cost;
    }

    /// The permit, which may be a denial; `None` where nothing is limited.
    pub(crate) fn into_permit(self) -> Result<Option<Permit>, StoreError> {
        match self {
            Self::Decided(permit) => Ok(Some(permit)),
            Self::Unlimited => Ok(None),
            Self::Unavailable(error) => Err(error),
        }
    }
}

impl Question {
    /// `now` is a moment before anything is sent.
    pub(super) fn new(
        limits: Arc<Limits>,
        ask: Ask,
        now: Instant,
        recheck: bool,
        block: Option<BlockWanted>,
    ) -> Self {
        let mut question = Self::unasked(limits, ask, now);
        question.recheck = recheck;
        question.block = block;
        let (limits, set) = (&question.limits, &question.ask.set);
        question.asking = Some(question.acquire(&limits.store, set));
        question
    }

    /// A request that is known to be denied for now, and waits.
    pub(super) fn waiting(limits: Arc<Limits>, ask: Ask, now: Instant, waiting: Waiting) -> Self {
        let mut question = Self::unasked(limits, ask, now);
        question.waiting = Some(waiting);
        question
    }

    fn unasked(limits: Arc<Limits>, ask: Ask, now: Instant) -> Self {
        let place = match ask.set.has_places() {
            true => new_place(),
            false => PlaceId(0),
        };
        Self {
            limits,
            ask,
            sent_at: now,
            asking: None,
            block: None,
            waiting: None,
            recheck: false,
            degraded: None,
            place,
        }
    }

    fn acquire(&self, store: &Store, set: &PolicySet) -> Asking {
        let (names, subject) = (store.names().clone(), self.ask.subject);
        let (limits, cost) = (set.limits.clone(), self.ask.cost);
        match set.blocks {
            None => Asking::Units(store.execute(Acquire {
                names,
                subject,
                limits,
                ban: self.limits.named_ban.clone(),
                cost,
                place: self.place,
                reserves: self.ask.reserves,
            })),
            Some(_) => Asking::Block(store.execute(AcquireBlock {
                names,
                subject,
                limits,
                cost,
                block: self.block.as_ref().map_or(0, |block| block.units),
            })),
        }
    }

    /// The answer, if the store has it without being waited for.
    pub(crate) fn answer_at_once(&mut self) -> Option<Answer> {
        if !self.asking.as_ref().is_some_and(Asking::is_ready) {
            return None;
        }
        match self.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let Some(asking) = &mut self.asking else {
                if let Some(waiting) = &mut self.waiting {
                    ready!(waiting.poll(cx));
                }
                self.sent_at = Instant::now();
                self.asking = Some(self.acquire(&self.limits.store, &self.ask.set));
                continue;
            };
            let result = ready!(asking.poll(cx, self.block.as_ref(), &self.ask.set));
            self.asking = None;
            self.block = None;
            let answer = match result {
                Ok(acquired) => {
                    if self.degraded.is_none() {
                        self.remember(&acquired);
                    }
                    self.decide(acquired).map(Answer::Decided)
                }
                Err(error) => self.without_the_store(error),
            };
            if let Some(answer) = answer {
                answer.count(self.ask.cost);
                return Poll::Ready(answer);
            }
        }
    }

    /// What follows from a failure of the store; `None` if somebody else is asked.
    fn without_the_store(&mut self, error: StoreError) -> Option<Answer> {
        let limits = &self.limits;
        let policy = limits.on_store_error;
        tracing::debug!(target: "tower_keep::rate_limit", %error, ?policy, "the limits are not known");
        match (&limits.fallback, policy) {
            (Some(fallback), _) if self.degraded.is_none() => {
                let set = fallback.set_for(&self.ask.set, &limits.set);
                self.asking = Some(self.acquire(&fallback.store, &set));
                self.degraded = Some(set);
                None
            }
            (_, RateLimitOnStoreError::Allow) => Some(Answer::Unlimited),
            // The fallback too has no room: nothing passes uncounted by accident.
            (_, RateLimitOnStoreError::Deny | RateLimitOnStoreError::Local { .. }) => {
                Some(Answer::Unavailable(error))
            }
        }
    }

    /// Keeps the process's own denials in step with the store's answer.
    fn remember(&self, acquired: &Acquired) {
        let denials = &self.limits.local_denials;
        let subject = self.ask.subject;
        if acquired.is_admitted() {
            if self.recheck {
                denials.end(subject);
            }
            return;
        }
        denials.put(Denied {
            subject,
            cost: self.ask.cost,
            limits: &self.ask.set.limits,
            acquired,
            brings_ban: self.limits.named_ban.is_some(),
            sent_at: self.sent_at,
            recheck: self.recheck,
        });
    }

    /// What the answer means; `None` if the request waits.
    fn decide(&mut self, acquired: Acquired) -> Option<Permit> {
        let admitted = acquired.is_admitted();
        let set = self.degraded.as_ref().unwrap_or(&self.ask.set);
        let mut decision = RateLimitDecision::new(
            &self.limits,
            set,
            self.ask.subject,
            &acquired.outcomes,
            acquired.banned,
            self.degraded.is_some(),
        );
        if !admitted {
            return match self.waits(&decision) {
                true => None,
                false => Some(Permit::new(decision, Vec::new())),
            };
        }
        let store = match (&self.limits.fallback, &self.degraded) {
            (Some(fallback), Some(_)) => &fallback.store,
            _ => &self.limits.store,
        };
        if let Some(marks) = acquired.marks {
            decision.reserve(Reserved {
                limits: self.limits.clone(),
                store: store.clone(),
                set: set.clone(),
                subject: self.ask.subject,
                marks,
                cost: self.ask.cost,
                settled: false.into(),
            });
        }
        let places = self.places(store, set);
        let held = places.map(|places| self.limits.places.hold(store, places));
        Some(Permit::new(decision, held.into_iter().collect()))
    }

    /// Whether a denied request waits rather than being refused.
    fn waits(&mut self, decision: &RateLimitDecision) -> bool {
        let Some(room) = &self.limits.waiting_room else {
            return false;
        };
        let now = Instant::now();
        // The fallback has no clock in common with the store, but the same rules.
        match &mut self.waiting {
            Some(waiting) => waiting.again(decision, now),
            None => {
                self.waiting = room.enter(self.ask.subject, self.ask.cost, decision, now);
                self.waiting.is_some()
            }
        }
    }

    /// The places that an admitted request has.
    fn places(&self, store: &Store, set: &PolicySet) -> Option<PerLimit<Place>> {
        if self.place == PlaceId(0) || self.ask.cost == 0 {
            return None;
        }
        let place = |limit: &NamedLimit| Place {
            names: store.names().clone(),
            subject: self.ask.subject,
            limit: limit.clone(),
            id: self.place,
        };
        let limits = set.limits.iter();
        let concurrent = limits.filter(|named| named.limit.is_concurrency());
        Some(concurrent.map(place).collect())
    }
}

impl Future for Question {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.poll_answer(cx)
    }
}

/// Whoever leaves before the answer may have been given a place, which nobody would give back.
impl Drop for Question {
    fn drop(&mut self) {
        // Only there are places.
        let Some(Asking::Units(execute)) = self.asking.take() else {
            return;
        };
        let set = self.degraded.as_ref().unwrap_or(&self.ask.set);
        let store = match (&self.limits.fallback, &self.degraded) {
            (Some(fallback), Some(_)) => fallback.store.clone(),
            _ => self.limits.store.clone(),
        };
        if let Some(places) = self.places(&store, set)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = execute.await;
                let releases: Vec<_> = places.into_iter().map(ReleasePlace).collect();
                store.execute(releases).await;
            });
        }
    }
}
