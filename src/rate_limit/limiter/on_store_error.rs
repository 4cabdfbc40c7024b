//! What a limiter does when the store does not answer.

use std::sync::Arc;

use super::policy_set::PolicySet;
use crate::store::Store;

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
    pub(crate) set: PolicySet,
    share: f64,
}

impl Fallback {
    pub(crate) fn new(set: &PolicySet, share: f64) -> Self {
        Self {
            store: Store::memory(),
            set: scaled(set, share),
            share,
        }
    }

    /// What takes the place of `set`, which is `usual` mostly.
    pub(crate) fn set_for(&self, set: &PolicySet, usual: &PolicySet) -> PolicySet {
        match Arc::ptr_eq(&set.policies, &usual.policies) {
            true => self.set.clone(),
            false => scaled(set, self.share),
        }
    }
}

fn scaled(set: &PolicySet, share: f64) -> PolicySet {
    let policies = set.policies.iter();
    PolicySet::new(policies.map(|policy| policy.share(share)).collect())
}
