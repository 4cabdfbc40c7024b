//! The fields that tell clients their limits.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{DictSerializer, Dictionary, ListEntry, Parser};
use smallvec::SmallVec;

use super::{
    limiter::decision::{PolicyDecision, RateLimitDecision, ceil_seconds},
    policy::{QuotaPolicy, integer, key},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How responses tell clients their limits.
///
/// Times are seconds from now, rounded up, until more of the quota becomes available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HeaderDialect {
    /// `RateLimit-Policy: "burst";q=5;w=10` and `RateLimit: "burst";r=4;t=2`, one list member a
    /// policy, beside those of other layers and of the upstream
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Draft10,
    /// `RateLimit-Policy: 5;w=10` with one list member a policy, and for the tightest policy
    /// `RateLimit: limit=5, remaining=4, reset=2` (draft-ietf-httpapi-ratelimit-headers-07).
    Draft07,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, for the tightest
    /// policy.
    XRateLimit,
    /// Nothing. `Retry-After` is sent nevertheless.
    None,
}

impl HeaderDialect {
    /// The `RateLimit-Policy` field of a layer's policies, which is the same in every response.
    pub(crate) fn policy_field(self, policies: &[QuotaPolicy]) -> Option<HeaderValue> {
        let item = |policy: &QuotaPolicy| match self {
            Self::Draft10 => Some(policy.advertised()),
            Self::Draft07 => {
                let quota = policy.quota();
                Some(format!("{};w={}", quota.limit(), quota.window().as_secs()))
            }
            Self::XRateLimit | Self::None => None,
        };
        let items: Option<Vec<_>> = policies.iter().map(item).collect();
        items.and_then(|items| HeaderValue::try_from(items.join(", ")).ok())
    }

    /// Adds the fields for a decision to a response's, overwriting no other layer's.
    pub(crate) fn write(
        self,
        headers: &mut HeaderMap,
        policy_field: Option<&HeaderValue>,
        decision: &RateLimitDecision,
    ) {
        if let Some(field) = policy_field {
            headers.append(RATE_LIMIT_POLICY, field.clone());
        }
        match self {
            Self::Draft10 => {
                if let Some(value) = service_limits(decision) {
                    headers.append(RATE_LIMIT, value);
                }
            }
            // These have no room for a second layer's: the tighter limit is told.
            Self::Draft07 => {
                if let Some(policy) = decision.tightest()
                    && draft07_remaining(headers).is_none_or(|told| told > policy.remaining())
                    && let Some(value) = draft07(policy)
                {
                    headers.insert(RATE_LIMIT, value);
                }
            }
            Self::XRateLimit => {
                if let Some(policy) = decision.tightest()
                    && x_remaining(headers).is_none_or(|told| told > policy.remaining())
                {
                    headers.insert(X_LIMIT, policy.limit().into());
                    headers.insert(X_REMAINING, policy.remaining().into());
                    headers.insert(X_RESET, ceil_seconds(policy.more_after()).into());
                }
            }
            Self::None => {}
        }
    }
}

/// `"burst";r=4;t=2, …`
///
/// Written by hand, since it is made for every response: the serializer would take longer than
/// the limit itself. Quotas and times are in the range of a structured field's Integer.
fn service_limits(decision: &RateLimitDecision) -> Option<HeaderValue> {
    let mut field = SmallVec::<[u8; 128]>::new();
    let mut number = itoa::Buffer::new();
    for policy in decision {
        if !field.is_empty() {
            field.extend_from_slice(b", ");
        }
        field.extend_from_slice(policy.policy().quoted_name().as_bytes());
        field.extend_from_slice(b";r=");
        field.extend_from_slice(number.format(policy.remaining()).as_bytes());
        field.extend_from_slice(b";t=");
        let seconds = ceil_seconds(policy.more_after());
        field.extend_from_slice(number.format(seconds).as_bytes());
    }
    HeaderValue::from_bytes(&field).ok()
}

/// `limit=5, remaining=4, reset=2`
fn draft07(policy: &PolicyDecision) -> Option<HeaderValue> {
    let mut dictionary = DictSerializer::new();
    let reset = ceil_seconds(policy.more_after());
    let _ = dictionary.bare_item(key("limit"), integer(policy.limit()));
    let _ = dictionary.bare_item(key("remaining"), integer(policy.remaining()));
    let _ = dictionary.bare_item(key("reset"), integer(reset));
    HeaderValue::try_from(dictionary.finish()?).ok()
}

fn draft07_remaining(headers: &HeaderMap) -> Option<u64> {
    let field: Dictionary = Parser::new(headers.get(RATE_LIMIT)?).parse().ok()?;
    let ListEntry::Item(item) = field.get("remaining")? else {
        return None;
    };
    u64::try_from(i64::from(item.bare_item.as_integer()?)).ok()
}

fn x_remaining(headers: &HeaderMap) -> Option<u64> {
    headers.get(X_REMAINING)?.to_str().ok()?.parse().ok()
}
