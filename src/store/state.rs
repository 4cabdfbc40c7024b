//! What a store knows of its server.

/// What the store knows of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreState {
    /// The last calls were answered. Embedded memory is always ready.
    Ready,
    /// The server answers and refuses some commands, as at its `maxmemory` or for want of a
    /// permission; [`Store::refusals`](super::Store::refusals) says which. It ends when such a
    /// command succeeds again, or 30 seconds after the last refusal.
    Degraded,
    /// No call was made yet, or the connection was lost a moment ago; calls wait for it
    /// within their deadline.
    Connecting,
    /// The circuit breaker is open: calls fail at once until a background probe gets an answer.
    Unavailable,
}
