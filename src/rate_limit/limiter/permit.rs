//! What a caller of the limits gets: the decision, and the places that it holds.

use std::ops::Deref;

use super::{decision::RateLimitDecision, places::HeldPlaces};

/// The answer of a [`RateLimiter`](super::RateLimiter).
///
/// It reads as the [`RateLimitDecision`]. While it is not dropped it holds the places that
/// concurrency limits have given, which are renewed meanwhile, however long that takes.
#[derive(Debug)]
#[must_use = "dropping a permit gives its places back; ask whether it is admitted"]
pub struct Permit {
    decision: RateLimitDecision,
    places: Vec<HeldPlaces>,
}

impl Permit {
    pub(crate) fn new(decision: RateLimitDecision, places: Vec<HeldPlaces>) -> Self {
        Self { decision, places }
    }

    /// Both, as one.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.decision.add(other.decision);
        self.places.extend(other.places);
        self
    }

    /// The decision without the places, which are free then.
    pub fn into_decision(self) -> RateLimitDecision {
        self.decision
    }

    pub(crate) fn into_parts(self) -> (RateLimitDecision, Vec<HeldPlaces>) {
        (self.decision, self.places)
    }
}

impl Deref for Permit {
    type Target = RateLimitDecision;

    fn deref(&self) -> &RateLimitDecision {
        &self.decision
    }
}
