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

#[cfg(feature = "redis")]
pub(crate) use acquire::{ACQUIRE, ACQUIRE_ONE};
pub(crate) use acquire::{Acquire, Acquired, Marks};
#[cfg(feature = "redis")]
pub(crate) use acquire_block::ACQUIRE_BLOCK;
pub(crate) use acquire_block::AcquireBlock;
pub use algorithm::Algorithm;
pub(crate) use algorithm::{Ban, Level, Limit, Outcome, PerLimit, PlaceId, Wait};
pub(crate) use named::{NamedBan, NamedLimit};
#[cfg(feature = "redis")]
pub(crate) use place::RENEW;
pub(crate) use place::{Place, ReleasePlace, RenewPlace};
pub(crate) use reset::Reset;
#[cfg(feature = "redis")]
pub(crate) use settle::SETTLE;
pub(crate) use settle::Settle;
pub(crate) use state::LimitState;
pub(crate) use subject::Subject;
