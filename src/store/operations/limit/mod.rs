//! Rate limits: the states of one subject's limits, checked and charged in one step.

mod acquire;

#[cfg(feature = "redis")]
pub(crate) use acquire::ACQUIRE;
pub(crate) use acquire::{Acquire, LimitState};
