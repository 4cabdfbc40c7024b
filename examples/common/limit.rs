//! The `--limit` flags.

use tower_keep::{
    Store,
    rate_limit::{QuotaPolicy, RateLimitLayer},
};

/// One layer that enforces all the policies of `--limit`; `None` without any.
pub fn limit(store: &Store, policies: &[QuotaPolicy]) -> Result<Option<RateLimitLayer>, String> {
    let Some((first, rest)) = policies.split_first() else {
        return Ok(None);
    };
    let first = RateLimitLayer::new(store.clone(), first.clone());
    rest.iter()
        .try_fold(first, |layer, policy| layer.and_policy(policy.clone()))
        .map(Some)
        .map_err(|error| format!("--limit: {error}"))
}
