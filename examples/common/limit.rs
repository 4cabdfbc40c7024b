//! The `--limit` flags.

use tower_keep::{
    Store,
    rate_limit::{Policy, RateLimitLayer},
};

/// One layer that enforces all the policies of `--limit`; `None` without any.
pub fn limit(store: &Store, policies: &[Policy]) -> Result<Option<RateLimitLayer>, String> {
    let Some((first, rest)) = policies.split_first() else {
        return Ok(None);
    };
    let first = RateLimitLayer::new(store.clone(), first.clone());
    rest.iter()
        .try_fold(first, |layer, policy| layer.with_policy(policy.clone()))
        .map(Some)
        .map_err(|error| format!("--limit: {error}"))
}
