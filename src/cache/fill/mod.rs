//! A response on its way into the store, and those who share it while it arrives.
//!
//! This room knows which responses are under way ([`in_flight`]), what has come of each
//! ([`arriving`], [`stage`], [`buffer`]), who reads it ([`reader`]) and at whose pace ([`pace`]),
//! how much memory all of them take ([`memory`]), and how one is announced to the store and put
//! there ([`storing`], [`receive`]). It does not know why the inner service was asked.

mod arriving;
mod bounds;
mod buffer;
mod in_flight;
mod memory;
mod pace;
mod reader;
mod receive;
mod stage;
mod storing;
mod uncacheable;

pub(crate) use self::{
    arriving::{Announced, Fill},
    bounds::Bounds,
    in_flight::{Claim, InFlight, Lead},
    reader::{Reader, Shareable},
    receive::{Receiving, collect, unless},
    stage::Answered,
    storing::Storing,
    uncacheable::Uncacheable,
};
