//! Lua scripts: their sources, digests and the list that a new connection loads.

use std::sync::OnceLock;

use deadpool_redis::redis;

/// A script that stands beside its operation in `src/store/operations`, called by its digest.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    sha: OnceLock<Box<str>>,
}

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Self {
            source,
            sha: OnceLock::new(),
        }
    }

    pub(crate) fn source(&self) -> &'static str {
        self.source
    }

    pub(crate) fn sha(&self) -> &str {
        self.sha
            .get_or_init(|| redis::Script::new(self.source).get_hash().into())
    }
}

/// Every script of the crate: a connection is ready when the server has them, so that a fresh
/// or restarted server costs no request a NOSCRIPT round trip.
pub(super) static ALL: &[&Script] = &[
    #[cfg(feature = "rate-limit")]
    &crate::store::operations::limit::ACQUIRE,
    #[cfg(feature = "rate-limit")]
    &crate::store::operations::limit::ACQUIRE_ONE,
    #[cfg(feature = "session")]
    &crate::store::operations::session::COMMIT,
    #[cfg(feature = "session")]
    &crate::store::operations::session::CREATE,
    #[cfg(feature = "session")]
    &crate::store::operations::session::DESTROY,
    #[cfg(feature = "session")]
    &crate::store::operations::session::INCREMENT,
    #[cfg(feature = "session")]
    &crate::store::operations::session::SWAP,
    #[cfg(feature = "session")]
    &crate::store::operations::session::TOUCH,
    #[cfg(feature = "session")]
    &crate::store::operations::session::ENTER,
    #[cfg(feature = "session")]
    &crate::store::operations::session::CONDEMN,
    #[cfg(feature = "session")]
    &crate::store::operations::session::REVOKE,
    #[cfg(feature = "cache")]
    &crate::store::operations::response::BEGIN,
    #[cfg(feature = "cache")]
    &crate::store::operations::response::PUT,
    #[cfg(feature = "cache")]
    &crate::store::operations::response::ABANDON,
    #[cfg(feature = "key-value")]
    &crate::store::operations::value::SET,
    #[cfg(feature = "key-value")]
    &crate::store::operations::value::DEL,
    #[cfg(feature = "key-value")]
    &crate::store::operations::value::TAKE_LEASE,
    #[cfg(feature = "key-value")]
    &crate::store::operations::value::FILL,
];
