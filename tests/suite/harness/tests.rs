//! The harness tested by itself, so that a failure elsewhere is the crate's.

mod redis;
