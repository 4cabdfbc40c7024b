//! The fields that many APIs have, of which no standard tells.

use http::{HeaderMap, HeaderName};

use super::is_tighter;
use crate::rate_limit::limiter::{RateLimitDecision, ceil_seconds};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// They have no room for a second layer's policies: the tighter one is told.
pub(super) fn write(headers: &mut HeaderMap, decision: &RateLimitDecision) {
    if let Some(policy) = decision.tightest()
        && is_tighter(policy, told(headers))
    {
        headers.insert(LIMIT, policy.limit().into());
        headers.insert(REMAINING, policy.remaining().into());
        headers.insert(RESET, ceil_seconds(policy.more_after()).into());
    }
}

/// The limit and what is left of it.
fn told(headers: &HeaderMap) -> Option<(u64, u64)> {
    let number = |name| headers.get(name)?.to_str().ok()?.parse().ok();
    Some((number(LIMIT)?, number(REMAINING)?))
}
