//! What is counted, by the facade of the crate [`metrics`](https://docs.rs/metrics): an exporter that
//! the application installs gets it. Feature `metrics`; without it nothing of this is compiled in.
//!
//! | Name | Kind | Labels |
//! |---|---|---|
//! | `tower_keep_rate_limit_decisions_total` | counter | `policy`; `outcome`: `admitted`, `denied`, `banned`; `degraded`: `true` when the store had failed and this process decided by itself |
//! | `tower_keep_rate_limit_failures_total` | counter | `outcome`: `admitted`, `refused`: the store had failed, and nobody counted |
//! | `tower_keep_cache_requests_total` | counter | `outcome`: `hit`, or why the request was forwarded, as `fwd` in `Cache-Status` (RFC 9211) has it; `collapsed`; `detail`, as there |
//! | `tower_keep_session_loads_total` | counter | `outcome`: `found`, `absent`, `failed` |
//! | `tower_keep_session_commits_total` | counter | `outcome`: `committed`, `too-large`, `failed` |
//! | `tower_keep_session_unreadable_total` | counter | `what`: `session`, which then counts as absent, or `value` of one: broken, of another type, or encrypted by a key that is not in the ring |
//! | `tower_keep_store_call_seconds` | histogram | `outcome`: `answered`; `failed`, when a server has not answered in time or its connection was lost; `unavailable`, when nothing was sent as the breaker was open. Calls to Redis, from waiting for a connection to the last byte of the reply; embedded memory answers at once |
//! | `tower_keep_store_breakers_open` | gauge | how many circuit breakers are open: one a server, on a cluster one a shard |
//! | `tower_keep_store_refusals_total` | counter | `kind`, as of [`RefusalKind::as_str`](crate::store::RefusalKind::as_str) |
//!
//! Names and labels are part of the crate's interface. No label has more values than there are
//! policies and outcomes: no key, address, URL or id is in one.
//!
//! A decision is counted once for each policy: a denied request as `denied` for those that it violates
//! and not at all for the others. Looking at a limit
//! (a cost of 0) is no decision.

/// What there is of one label, whose usual values are known here: their keys are static, where one that
/// is made at run time would be an allocation for each request.
#[cfg(any(feature = "session", feature = "redis"))]
macro_rules! labelled {
    ($kind:ident, $name:literal, $label:literal => $value:ident, [$($known:literal),+]) => {
        match $value {
            $($known => ::metrics::$kind!($name, $label => $known),)+
            other => ::metrics::$kind!($name, $label => other),
        }
    };
}

/// What a policy has said to a request.
#[cfg(feature = "rate-limit")]
pub(crate) fn decision(policy: std::sync::Arc<str>, outcome: &'static str, degraded: bool) {
    let degraded = if degraded { "true" } else { "false" };
    ::metrics::counter!("tower_keep_rate_limit_decisions_total", "policy" => policy, "outcome" => outcome, "degraded" => degraded)
        .increment(1);
}

/// The store had failed, and nobody counted.
#[cfg(feature = "rate-limit")]
pub(crate) fn undecided(outcome: &'static str) {
    ::metrics::counter!("tower_keep_rate_limit_failures_total", "outcome" => outcome).increment(1);
}

/// What a cache did with a request.
#[cfg(feature = "cache")]
pub(crate) fn cache(outcome: &'static str, collapsed: bool, detail: &'static str) {
    let collapsed = if collapsed { "true" } else { "false" };
    ::metrics::counter!("tower_keep_cache_requests_total", "outcome" => outcome, "collapsed" => collapsed, "detail" => detail)
        .increment(1);
}

#[cfg(feature = "session")]
pub(crate) fn session_load(outcome: &'static str) {
    labelled!(counter, "tower_keep_session_loads_total", "outcome" => outcome, ["found", "absent"])
        .increment(1);
}

#[cfg(feature = "session")]
pub(crate) fn session_commit(outcome: &'static str) {
    labelled!(counter, "tower_keep_session_commits_total", "outcome" => outcome, ["committed"])
        .increment(1);
}

/// What is stored does not read, and counts as absent.
#[cfg(feature = "session")]
pub(crate) fn session_unreadable(what: &'static str) {
    ::metrics::counter!("tower_keep_session_unreadable_total", "what" => what).increment(1);
}

/// A call to Redis.
#[cfg(feature = "redis")]
pub(crate) fn store_call(took: std::time::Duration, outcome: &'static str) {
    labelled!(histogram, "tower_keep_store_call_seconds", "outcome" => outcome, ["answered", "unavailable"])
        .record(took);
}

#[cfg(feature = "redis")]
pub(crate) fn breaker_opened() {
    ::metrics::gauge!("tower_keep_store_breakers_open").increment(1.0);
}

#[cfg(feature = "redis")]
pub(crate) fn breaker_closed() {
    ::metrics::gauge!("tower_keep_store_breakers_open").decrement(1.0);
}

#[cfg(feature = "redis")]
pub(crate) fn refusal(kind: &'static str) {
    ::metrics::counter!("tower_keep_store_refusals_total", "kind" => kind).increment(1);
}
