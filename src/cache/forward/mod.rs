//! Asking the inner service, and what its answer means.
//!
//! This room knows who asks and who waits for another one's answer ([`follower`]), how the inner
//! service is called ([`exchange`]), and what an answer means for the client and for what is stored
//! ([`outcome`]): one to a validation ([`validated`]), one that completes a stored part
//! ([`completed`]), any other ([`received`]). Requests that no stored response can answer go
//! through [`pass`] and [`unsafe_call`]. It does not know how a response is found or kept.

mod completed;
mod exchange;
mod follower;
mod outcome;
mod pass;
mod received;
mod storable;
mod times;
mod unsafe_call;
mod validated;

pub(crate) use self::{
    exchange::{Exchange, Mode, Purpose},
    follower::{Follower, Waited},
    outcome::Forwarded,
    pass::Pass,
    unsafe_call::UnsafeCall,
};
