//! What a body may take before it is no longer kept, or no longer read.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The longest body that is kept, in bytes.
    pub(crate) limit: u64,
    /// Bytes that all bodies under way may take together.
    pub(crate) memory: u64,
    /// When the announcement lapses.
    pub(crate) lapse: Instant,
    /// How long nothing may come.
    pub(crate) idle: Duration,
}
