//! The whole crate against real servers: one binary, one module a room of the crate.
#![allow(
    clippy::unwrap_used,
    reason = "in a test a failed unwrap is a failed test"
)]

mod cache;
mod examples;
mod harness;
mod health;
mod inspect;
mod key_value;
mod metrics;
mod rate_limit;
mod refresh_token;
mod session;
mod store;
