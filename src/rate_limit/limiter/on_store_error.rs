//! What a layer does when the store does not answer.

use std::sync::Arc;

use crate::{
    rate_limit::policy::QuotaPolicy,
    store::{Store, operations::limit::NamedLimit},
};

/// What happens to requests while the store does not keep count of them: it does not answer
/// within its deadline, it refuses, or embedded memory has no room for the state.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RateLimitOnStoreError {
    /// A limiter in this process takes over, with a share of each quota: of `q` units at least
    /// one and at most all. With `n` processes a share of `1 / n` keeps the quota as a whole; a
    /// share of 1 never refuses what the store would have admitted. The response's fields tell
    /// the quota that is in force.
    Local {
        /// The part of each quota that this process admits, 1.0 for all of it.
        share: f64,
    },
    /// Requests pass without a limit.
    Allow,
    /// Requests are answered 503 with `Retry-After`.
    Deny,
}

/// The whole quota in each process: no request is refused that should not be.
impl Default for RateLimitOnStoreError {
    fn default() -> Self {
        Self::Local { share: 1.0 }
    }
}

/// The limiter of [`RateLimitOnStoreError::Local`]: the same policies, scaled, on memory of its own.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    pub(crate) store: Store,
    pub(crate) policies: Arc<[QuotaPolicy]>,
    pub(crate) limits: Arc<[NamedLimit]>,
}

impl Fallback {
    pub(crate) fn new(policies: &[QuotaPolicy], share: f64) -> Self {
        let policies: Arc<[_]> = policies.iter().map(|policy| policy.share(share)).collect();
        Self {
            store: Store::memory(),
            limits: policies.iter().map(QuotaPolicy::limit).collect(),
            policies,
        }
    }
}
