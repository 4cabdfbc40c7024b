//! One limiter, and whom it is asked about.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision, limits::Limits, local_denials::Known, policy_set::PolicySet,
    waiting::WaitingRoom,
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

impl Part {
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
