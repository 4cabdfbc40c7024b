//! Freshness lifetime and age (RFC 9111 §4.2).
use super::{ResponseDirectives, StoredHead};
/// On what terms a response may be stored and reused. The deployer's own rules may change them
/// before the engine decides: see [`super::Policy::storable`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The directives of the targeted field or of `Cache-Control`.
    pub(crate) directives: ResponseDirectives,
    /// The freshness lifetime in seconds, if the response gives one or a heuristic applies.
    pub(crate) lifetime: Option<u32>,
    /// Whether `lifetime` is heuristic.
    pub(crate) heuristic: bool,
}
impl StoredHead {
    /// `current_age` (§4.2.3) in whole seconds.
    pub(crate) fn age(&self, now: u64) -> u64 {
        todo!()
    }
    /// Freshness lifetime minus age, in seconds; negative when stale (RFC 9211 `ttl`).
    pub(crate) fn ttl(&self, now: u64) -> i64 {
        todo!()
    }
    /// Whether it is fresh (§4.2).
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        todo!()
    }
}
