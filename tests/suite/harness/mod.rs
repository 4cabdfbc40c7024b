//! Real servers and clients for the tests, each started on a loopback port of its own.
//!
//! Everything here runs outside the test's tokio runtime, so a test may pause its clock or block on a child process
//! without stopping the servers it talks to.

pub(crate) mod port;
pub(crate) mod redis;

mod tests;
