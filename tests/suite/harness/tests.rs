//! The harness tested by itself, so that a failure elsewhere is the crate's.

mod client;
mod example;
mod origin;
mod proxy;
mod redis;
mod shared;
mod topologies;
