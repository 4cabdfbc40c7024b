//! One limiter, and whom it is asked about.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision, limits::Limits, local_denials::Known, permit::Permit,
    policy_set::PolicySet, question::Question, waiting::WaitingRoom,
};
use crate::store::operations::limit::{Outcome, PerLimit, Subject};

/// One of the limiters of a question, mostly the only one.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) limits: Arc<Limits>,
    pub(crate) set: PolicySet,
    pub(crate) subject: Subject,
    /// Whether it may [wait](Self::waiting_room).
    pub(crate) waits: bool,
}

/// What a limiter says when it is asked.
#[allow(
    clippy::large_enum_variant,
    reason = "a request moves it once or twice; a box would be an allocation each"
)]
pub(crate) enum Asked {
    /// It knows that the request is to be denied, or has taken the units before.
    Known(Permit),
    /// The store has to say.
    Question(Question),
}

impl Part {
    /// Asks for `cost` units, some of which may be given back if it `reserves`. `now` is a moment
    /// before anything is sent.
    pub(crate) fn ask(self, cost: u64, reserves: bool, now: Instant) -> Asked {
        let recheck = match self.known(cost, now) {
            Known::Nothing => None,
            Known::Recheck(recheck) => Some(recheck),
            Known::Denied { outcomes, banned } => {
                let decision = self.decision(&outcomes, banned);
                let room = self.waiting_room();
                let enter = |room: &WaitingRoom| room.enter(self.subject, cost, &decision, now);
                return match room.and_then(enter) {
                    Some(waiting) => {
                        Asked::Question(Question::waiting(self, cost, reserves, now, waiting))
                    }
                    None => Asked::known(decision, cost),
                };
            }
        };
        // What is reserved may go back, to the store.
        let Some(share) = self.set.blocks.filter(|_| cost > 0 && !reserves) else {
            return Asked::Question(Question::new(self, cost, reserves, now, recheck, None));
        };
        let Self {
            limits,
            set,
            subject,
            ..
        } = &self;
        if let Some(outcomes) = limits.blocks.spend(*subject, cost, &set.limits, now) {
            return Asked::known(self.decision(&outcomes, 0), cost);
        }
        let block = (limits.blocks).wanted(share, *subject, cost, &set.limits, now);
        Asked::Question(Question::new(self, cost, reserves, now, recheck, block))
    }

    /// Where it waits if it is denied.
    pub(super) fn waiting_room(&self) -> Option<&WaitingRoom> {
        self.limits.waiting_room.as_ref().filter(|_| self.waits)
    }

    /// What the process knows of a denial.
    pub(super) fn known(&self, cost: u64, now: Instant) -> Known {
        let denials = &self.limits.local_denials;
        denials.get(self.subject, cost, &self.set.limits, now)
    }

    /// What the process says by itself.
    pub(super) fn decision(&self, outcomes: &PerLimit<Outcome>, banned: u64) -> RateLimitDecision {
        let (limits, set) = (&self.limits, &self.set);
        RateLimitDecision::new(limits, set, self.subject, outcomes, banned, false)
    }
}

impl Asked {
    #[cfg_attr(
        not(feature = "metrics"),
        allow(unused_variables, reason = "it is only counted")
    )]
    fn known(decision: RateLimitDecision, cost: u64) -> Self {
        #[cfg(feature = "metrics")]
        decision.count(cost);
        Self::Known(Permit::new(decision, Vec::new()))
    }
}
