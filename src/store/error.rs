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

    /// Redis answered with an error.
    #[error("the store refused the command: {message}")]
    Refused {
        /// What it refuses, for callers that go on without the command.
        kind: RefusalKind,
        /// Redis' own words.
        message: Arc<str>,
    },

    /// Embedded memory has no room for so large a value. What the store held before is as it was,
    /// or gone, but never the value in part.
    #[error("the value is larger than embedded memory takes of one")]
    NoRoom,

    /// The reply does not have the form that the operation expects.
    #[error("unexpected reply from the store: {0}")]
    UnexpectedReply(&'static str),
}

/// What Redis refuses, by the code at the beginning of its error.
///
/// All of them last: the next command of the kind meets the same answer, until somebody mends
/// the server. [`Store::refusals`](super::Store::refusals) lists those that were met lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// `OOM`: the server is at its `maxmemory` and evicts nothing. Reads are answered.
    OutOfMemory,
    /// `WRONGTYPE`: the key holds another type of data, written by somebody else.
    WrongType,
    /// `NOPERM`: the user may not run the command, or not on this key.
    NoPermission,
    /// `MISCONF`: the server cannot write to its disk and takes no writes until it can.
    NotPersisted,
    /// `READONLY`: the server is a replica.
    ReadOnly,
    /// `NOREPLICAS`: fewer replicas are connected than `min-replicas-to-write` asks for.
    NoReplicas,
    /// `MOVED` or `ASK`: the server is one of a cluster, and another one has the key. A cluster is
    /// reached by a URL `redis+cluster://…`, which follows these.
    Moved,
    /// `CLUSTERDOWN` or `TRYAGAIN`: the cluster does not serve the key at the moment.
    ClusterDown,
    /// `ERR unknown command`: the server, or what stands in front of it, does not have the
    /// command or has it under another name.
    Unsupported,
    /// Any other error.
    Other,
}

impl RefusalKind {
    /// Redis' code for it, `OOM` for example; `ERR` for [`Other`](Self::Other), and
    /// `UNSUPPORTED` for [`Unsupported`](Self::Unsupported), which has none of its own.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfMemory => "OOM",
            Self::WrongType => "WRONGTYPE",
            Self::NoPermission => "NOPERM",
            Self::NotPersisted => "MISCONF",
            Self::ReadOnly => "READONLY",
            Self::NoReplicas => "NOREPLICAS",
            Self::Moved => "MOVED",
            Self::ClusterDown => "CLUSTERDOWN",
            Self::Unsupported => "UNSUPPORTED",
            Self::Other => "ERR",
        }
    }
}

impl std::fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
