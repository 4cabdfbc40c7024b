//! Rate limits: the states of one subject's limits, checked and charged in one step.

mod acquire;
mod algorithm;
mod subject;

pub(crate) use acquire::{Acquire, NamedLimit};
pub use algorithm::Algorithm;
pub(crate) use algorithm::{Level, Limit, Outcome, PerLimit, Wait};
pub(crate) use subject::Subject;

use crate::store::redis::Script;

pub(crate) use acquire::LimitState as Entry;
pub(super) const NAMES: [&str; 1] = [subject::NAME];
pub(super) static SCRIPTS: &[&Script] = &[&acquire::ACQUIRE, &acquire::ACQUIRE_ONE];
