//! The fields that tell clients their limits, one file a dialect.

mod draft07;
mod ietf;
mod x_rate_limit;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    limiter::{PolicyDecision, RateLimitDecision, part_left},
    policy::QuotaPolicy,
};
use crate::store::operations::limit::Subject;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How responses tell clients their limits.
///
/// Times are seconds from now, rounded up, until more of the quota becomes available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HeaderDialect {
    /// The newest draft of the IETF: `RateLimit-Policy: "burst";q=5;w=10` and
    /// `RateLimit: "burst";r=4;t=2`, one list member a policy, beside those of other layers and of
    /// the upstream. The wire format of draft-ietf-httpapi-ratelimit-headers-10, and of -11.
    #[default]
    Ietf,
    /// `RateLimit-Policy: 5;w=10` with one list member a policy, and for the tightest policy
    /// `RateLimit: limit=5, remaining=4, reset=2` (draft-ietf-httpapi-ratelimit-headers-07).
    Draft07,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, for the tightest
    /// policy.
    XRateLimit,
    /// Nothing. `Retry-After` is sent nevertheless.
    None,
}

/// Whether a policy is tighter than what another layer has told: the limit and what is left of it.
fn is_tighter(policy: PolicyDecision<'_>, told: Option<(u64, u64)>) -> bool {
    let own = part_left(policy.limit(), policy.remaining());
    told.is_none_or(|(limit, remaining)| own < part_left(limit, remaining))
}

impl HeaderDialect {
    /// The `RateLimit-Policy` field of policies, each for the clients of one partition or for all.
    pub(super) fn policy_field<'a>(
        self,
        policies: impl Iterator<Item = (&'a QuotaPolicy, Option<Subject>)>,
    ) -> Option<HeaderValue> {
        match self {
            Self::Ietf => ietf::policies(policies),
            Self::Draft07 => draft07::policies(policies),
            Self::XRateLimit | Self::None => None,
        }
    }

    /// Adds the fields for a decision to a response's, overwriting no other layer's.
    pub(super) fn write(
        self,
        headers: &mut HeaderMap,
        policy_field: Option<&HeaderValue>,
        decision: &RateLimitDecision,
        with_partition: bool,
    ) {
        if let Some(field) = policy_field {
            headers.append(RATE_LIMIT_POLICY, field.clone());
        }
        match self {
            Self::Ietf => ietf::write(headers, decision, with_partition),
            Self::Draft07 => draft07::write(headers, decision),
            Self::XRateLimit => x_rate_limit::write(headers, decision),
            Self::None => {}
        }
    }
}
