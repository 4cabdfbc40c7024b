//! Collapsing: concurrent calls that need the same thing share the work of getting it.

mod alongside;
mod backoff;
mod catch_panic;
mod flight;

pub(crate) use alongside::alongside;
pub(crate) use backoff::Backoff;
pub(crate) use catch_panic::CatchPanic;
pub(crate) use flight::{Claim, Flights, Lead, Lost};
