//! Draft 07: a Dictionary for the tightest policy.

use http::{HeaderMap, HeaderValue};
use sfv::{DictSerializer, Dictionary, ListEntry, Parser};

use super::{RATE_LIMIT, is_tighter};
use crate::{
    rate_limit::{
        limiter::{PolicyDecision, RateLimitDecision, ceil_seconds},
        policy::{QuotaPolicy, integer, key},
    },
    store::operations::limit::Subject,
};

/// `5;w=10, …`
pub(super) fn policies<'a>(
    policies: impl Iterator<Item = (&'a QuotaPolicy, Option<Subject>)>,
) -> Option<HeaderValue> {
    let item = |(policy, _): (&QuotaPolicy, _)| {
        let quota = policy.quota();
        format!("{};w={}", quota.limit(), quota.window().as_secs())
    };
    let items: Vec<_> = policies.map(item).collect();
    HeaderValue::try_from(items.join(", ")).ok()
}

/// The field has no room for a second layer's policies: the tighter one is told.
pub(super) fn write(headers: &mut HeaderMap, decision: &RateLimitDecision) {
    if let Some(policy) = decision.tightest()
        && is_tighter(policy, told(headers))
        && let Some(value) = dictionary(policy)
    {
        headers.insert(RATE_LIMIT, value);
    }
}

/// `limit=5, remaining=4, reset=2`
fn dictionary(policy: PolicyDecision<'_>) -> Option<HeaderValue> {
    let mut dictionary = DictSerializer::new();
    let reset = ceil_seconds(policy.more_after());
    let _ = dictionary.bare_item(key("limit"), integer(policy.limit()));
    let _ = dictionary.bare_item(key("remaining"), integer(policy.remaining()));
    let _ = dictionary.bare_item(key("reset"), integer(reset));
    HeaderValue::try_from(dictionary.finish()?).ok()
}

/// The limit and what is left of it.
fn told(headers: &HeaderMap) -> Option<(u64, u64)> {
    let field: Dictionary = Parser::new(headers.get(RATE_LIMIT)?).parse().ok()?;
    let number = |name| {
        let ListEntry::Item(item) = field.get(name)? else {
            return None;
        };
        u64::try_from(i64::from(item.bare_item.as_integer()?)).ok()
    };
    Some((number("limit")?, number("remaining")?))
}
