//! Rate limits: the states of one subject's limits, checked and charged in one step.

mod acquire;
mod algorithm;
mod subject;

#[cfg(feature = "redis")]
pub(crate) use acquire::{ACQUIRE, ACQUIRE_ONE};
pub(crate) use acquire::{Acquire, LimitState, NamedLimit};
pub use algorithm::Algorithm;
pub(crate) use algorithm::{Level, Limit, Outcome, PerLimit, Wait};
pub(crate) use subject::Subject;
