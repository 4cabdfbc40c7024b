//! What a store call can fail with.

use std::{sync::Arc, time::Duration};

/// Why a store call gave no answer.
///
/// Cheap to clone: every operation of a batch that failed as a whole gets the same error.
/// No variant ever carries a password or a value.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The call took longer than the store's deadline. Redis may still execute it.
    #[error("the store gave no answer within {0:?}")]
    DeadlineExceeded(Duration),

    /// The circuit breaker is open: the store failed a moment ago and a background probe
    /// has not reached it since. Nothing was sent.
    #[error("the store is unavailable (circuit breaker open)")]
    Unavailable,

    /// The connection was refused or lost.
    #[error("the connection to the store failed: {0}")]
    Connection(Arc<str>),

    /// Redis answered with an error, for example `OOM` or `NOPERM`.
    #[error("the store refused the command: {0}")]
    Refused(Arc<str>),

    /// Embedded memory has no room for so large a value. What the store held before is as it was,
    /// or gone, but never the value in part.
    #[error("the value is larger than embedded memory takes of one")]
    NoRoom,

    /// The reply does not have the form that the operation expects.
    #[error("unexpected reply from the store: {0}")]
    UnexpectedReply(&'static str),
}
