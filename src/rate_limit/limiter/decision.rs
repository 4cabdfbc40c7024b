//! What the limits said, for handlers and for outer layers.

use std::time::Duration;

use crate::{
    rate_limit::policy::QuotaPolicy,
    store::operations::limit::{Outcome, PerLimit, Wait},
};

/// What every policy said to a request.
///
/// It is in the request's extensions for handlers and in the response's for outer layers. Of
/// several stacked layers each adds its policies.
///
/// ```
/// use tower_keep::rate_limit::RateLimitDecision;
///
/// async fn handler(request: http::Request<()>) -> String {
///     let decision = request.extensions().get::<RateLimitDecision>();
///     match decision.and_then(RateLimitDecision::tightest) {
///         Some(policy) => format!("{} of {} left", policy.remaining(), policy.limit()),
///         None => "no limit".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RateLimitDecision {
    policies: PerLimit<PolicyDecision>,
    degraded: bool,
}

/// What one policy said to a request.
#[derive(Debug, Clone)]
pub struct PolicyDecision {
    policy: QuotaPolicy,
    outcome: Outcome,
}

impl RateLimitDecision {
    pub(crate) fn new(policies: &[QuotaPolicy], outcomes: &[Outcome], degraded: bool) -> Self {
        let decision = |(policy, outcome): (&QuotaPolicy, &Outcome)| PolicyDecision {
            policy: policy.clone(),
            outcome: *outcome,
        };
        Self {
            policies: policies.iter().zip(outcomes).map(decision).collect(),
            degraded,
        }
    }

    /// Adds what this decision says to the one of another layer that stands there already.
    pub(crate) fn put_into(&self, extensions: &mut http::Extensions) {
        let both = match extensions.get::<Self>() {
            Some(other) => Self {
                policies: other.iter().chain(self.iter()).cloned().collect(),
                degraded: other.degraded || self.degraded,
            },
            None => self.clone(),
        };
        extensions.insert(both);
    }

    /// What each policy said, in the order of the layers and of their policies.
    pub fn iter(&self) -> std::slice::Iter<'_, PolicyDecision> {
        self.policies.iter()
    }

    /// Whether the request passed all policies. A denied request has consumed nothing.
    pub fn is_admitted(&self) -> bool {
        self.iter().all(|policy| !policy.is_violated())
    }

    /// The policy with the smallest part of its quota left.
    pub fn tightest(&self) -> Option<&PolicyDecision> {
        let part = |policy: &&PolicyDecision| {
            // In millionths, rounded up: only nothing left is 0.
            let left = u128::from(policy.remaining()) * 1_000_000;
            left.div_ceil(u128::from(policy.limit()))
        };
        self.iter().min_by_key(part)
    }

    /// When a denied request can be sent again: after the longest wait of its policies. `None`
    /// for an admitted request, and for one that costs more than a policy's whole quota.
    pub fn retry_after(&self) -> Option<Duration> {
        if self.iter().any(|p| p.outcome.wait == Wait::Forever) {
            return None;
        }
        self.iter().filter_map(PolicyDecision::retry_after).max()
    }

    /// Whether the store did not answer and a local limiter took its place.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }
}

impl<'a> IntoIterator for &'a RateLimitDecision {
    type Item = &'a PolicyDecision;
    type IntoIter = std::slice::Iter<'a, PolicyDecision>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PolicyDecision {
    /// The policy.
    pub fn policy(&self) -> &QuotaPolicy {
        &self.policy
    }

    /// The policy's whole quota, in units.
    pub fn limit(&self) -> u64 {
        self.policy.quota().limit()
    }

    /// The units left after this request.
    pub fn remaining(&self) -> u64 {
        self.outcome.remaining
    }

    /// The time until the whole quota is available again.
    pub fn reset_after(&self) -> Duration {
        Duration::from_micros(self.outcome.reset_after)
    }

    /// The time until more of the quota is available than [`remaining`](Self::remaining): one
    /// unit, or for a denied request as much as it needs. Zero when all of it is.
    pub fn more_after(&self) -> Duration {
        self.retry_after()
            .unwrap_or_else(|| Duration::from_micros(self.outcome.more_after))
    }

    /// Whether the request costs more than this policy had left.
    pub fn is_violated(&self) -> bool {
        self.outcome.wait != Wait::None
    }

    /// The time until this policy has enough for the request that it denied. `None` where it
    /// denied nothing, and where the request costs more than the whole quota.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.outcome.wait {
            Wait::Micros(micros) => Some(Duration::from_micros(micros)),
            Wait::None | Wait::Forever => None,
        }
    }
}

/// Whole seconds, rounded up: a client that waits so long is never early.
pub(crate) fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
