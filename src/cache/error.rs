//! The errors that users of the layer meet.

/// The error of a response's body: the inner service's own, or that a shared response broke off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A name that `Cache-Status` cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("cache name {0:?} cannot be written in Cache-Status: use visible ASCII")]
pub struct CacheNameError(pub(super) String);
