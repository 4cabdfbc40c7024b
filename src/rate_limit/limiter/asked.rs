//! What one limiter answers: what this process knows by itself, or a question to the store.

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision, local_denials::Known, part::Part, permit::Permit,
    question::Question, waiting::WaitingRoom,
};

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
                let wait = |before| decision.wait_behind(before);
                let enter = |room: &WaitingRoom| room.enter(self.subject, cost, wait, now);
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
