//! Rate limits: the states of one subject's limits, checked and charged in one step.

mod acquire;
mod acquire_block;
mod algorithm;
mod named;
mod place;
mod reset;
mod settle;
mod state;
mod subject;

pub(crate) use acquire::{Acquire, AcquireEach, Acquired, Marks, Said};
pub(crate) use acquire_block::AcquireBlock;
pub use algorithm::Algorithm;
pub(crate) use algorithm::{Ban, Level, Limit, Outcome, PerLimit, PlaceId, Wait};
pub(crate) use named::{NamedBan, NamedLimit};
pub(crate) use place::{Place, ReleasePlace, RenewPlace};
pub(crate) use reset::Reset;
pub(crate) use settle::Settle;
pub(crate) use subject::Subject;

use crate::store::redis::Script;

pub(crate) use state::LimitState as Entry;
pub(super) const NAMES: [&str; 1] = [subject::NAME];
pub(super) static SCRIPTS: &[&Script] = &[
    &acquire::ACQUIRE,
    &acquire::ACQUIRE_ONE,
    &acquire_block::ACQUIRE_BLOCK,
    &place::RENEW,
    &settle::SETTLE,
];
