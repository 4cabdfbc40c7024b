//! Real servers and clients for the tests, each started on a loopback port of its own.
//!
//! Everything here runs outside the test's tokio runtime, so a test may pause its clock or block on a child process
//! without stopping the servers it talks to.

mod all_stores;
mod background;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connected;
pub(crate) mod cookie_jar;
pub(crate) mod differential;
mod eventually;
pub(crate) mod example;
pub(crate) mod log;
pub(crate) mod origin;
pub(crate) mod port;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod redis;

pub(crate) use all_stores::{on_all_stores, on_every_redis, on_own_servers, on_redis};
pub(crate) use eventually::eventually;

mod tests;
