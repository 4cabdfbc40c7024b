//! What is asked of the store for one request: a future without a box of its own.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{runtime::Handle, time::Instant};

use super::{
    asking::Asking,
    blocks::BlockWanted,
    decision::RateLimitDecision,
    inquiry::{Inquiry, Instead},
    local_denials::Recheck,
    part::Part,
    permit::Permit,
    waiting::Waiting,
};
use crate::store::{
    StoreError,
    operations::limit::{AcquireBlock, Acquired},
};

pub(crate) struct Question {
    inquiry: Inquiry,
    /// Whether some of the cost may be given back.
    reserves: bool,
    sent_at: Instant,
    /// `None` while it waits for its turn.
    asking: Option<Asking>,
    /// What is asked for beside the cost.
    block: Option<BlockWanted>,
    /// Whether a denial need not be the answer.
    may_wait: bool,
    waiting: Option<Waiting>,
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

    /// The permit, which may be a denial, and is without policies where nothing is limited.
    pub(super) fn into_permit(self) -> Result<Permit, StoreError> {
        match self {
            Self::Decided(permit) => Ok(permit),
            Self::Unlimited => Ok(Permit::new(RateLimitDecision::default(), Vec::new())),
            Self::Unavailable(error) => Err(error),
        }
    }
}

impl Question {
    /// `now` is a moment before anything is sent. `recheck` is whether the answer decides about a
    /// denial that the process knows.
    pub(super) fn new(
        part: Part,
        cost: u64,
        reserves: bool,
        now: Instant,
        recheck: Option<Recheck>,
        block: Option<BlockWanted>,
    ) -> Self {
        let may_wait = part.waiting_room().is_some();
        let mut question = Self {
            inquiry: Inquiry::new(part, cost, may_wait, recheck),
            may_wait,
            reserves,
            sent_at: now,
            asking: None,
            block,
            waiting: None,
        };
        question.asking = Some(question.ask());
        question
    }

    /// A request that is known to be denied for now, and waits.
    pub(super) fn waiting(
        part: Part,
        cost: u64,
        reserves: bool,
        now: Instant,
        waiting: Waiting,
    ) -> Self {
        Self {
            inquiry: Inquiry::new(part, cost, true, None),
            may_wait: true,
            reserves,
            sent_at: now,
            asking: None,
            block: None,
            waiting: Some(waiting),
        }
    }

    fn ask(&self) -> Asking {
        let (inquiry, store) = (&self.inquiry, self.inquiry.store());
        match inquiry.set().blocks.filter(|_| !self.reserves) {
            None => Asking::Units(store.execute(inquiry.acquire(self.reserves))),
            Some(_) => Asking::Block(store.execute(AcquireBlock {
                names: store.names().clone(),
                subject: inquiry.part().subject,
                limits: inquiry.set().limits.clone(),
                cost: inquiry.cost,
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
                self.asking = Some(self.ask());
                continue;
            };
            let result = ready!(asking.poll(cx, self.block.as_ref(), &self.inquiry.part().set));
            self.asking = None;
            self.block = None;
            let answer = match result {
                Ok(acquired) => self.decide(acquired).map(Answer::Decided),
                Err(error) => match self.inquiry.without_the_store(&error) {
                    Instead::Local => {
                        self.asking = Some(self.ask());
                        None
                    }
                    Instead::Unlimited => Some(Answer::Unlimited),
                    Instead::Refused => Some(Answer::Unavailable(error)),
                },
            };
            if let Some(answer) = answer {
                answer.count(self.inquiry.cost);
                return Poll::Ready(answer);
            }
        }
    }

    /// What the answer means; `None` if the request waits, or the store is to count the denial.
    fn decide(&mut self, acquired: Acquired) -> Option<Permit> {
        self.inquiry.remember(&acquired, self.sent_at);
        if acquired.is_admitted() {
            return Some(self.inquiry.permit(acquired, self.reserves));
        }
        let decision = self.inquiry.decision(&acquired);
        if self.may_wait && self.waits(&decision) {
            return None;
        }
        self.may_wait = false;
        self.waiting = None;
        match self.inquiry.counts_denial_next(&decision) {
            true => None,
            false => Some(Permit::new(decision, Vec::new())),
        }
    }

    /// Whether a denied request waits rather than being refused.
    fn waits(&mut self, decision: &RateLimitDecision) -> bool {
        let part = self.inquiry.part();
        let Some(room) = part.waiting_room() else {
            return false;
        };
        let now = Instant::now();
        // The limiter in this process has no clock in common with the store, but the same rules.
        match &mut self.waiting {
            Some(waiting) => waiting.again(decision.wait_behind(0), now),
            None => {
                let wait = |before| decision.wait_behind(before);
                self.waiting = room.enter(part.subject, self.inquiry.cost, wait, now);
                self.waiting.is_some()
            }
        }
    }
}

impl Future for Question {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.poll_answer(cx)
    }
}

/// A caller that leaves before the answer may have been given places: a task gives them back.
impl Drop for Question {
    fn drop(&mut self) {
        // Only there are places.
        let Some(Asking::Units(execute)) = self.asking.take() else {
            return;
        };
        let release = self.inquiry.release();
        if !release.is_empty()
            && let Ok(runtime) = Handle::try_current()
        {
            let store = self.inquiry.store().clone();
            runtime.spawn(async move {
                let _ = execute.await;
                store.execute(release).await;
            });
        }
    }
}
