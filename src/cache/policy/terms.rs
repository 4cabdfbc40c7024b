//! What decides whether a response is stored and reused.

use super::ResponseDirectives;

/// On what terms a response may be stored and reused. The deployer's own rules may change them
/// before the engine decides: see [`CachePolicy::storable`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The directives of the targeted field, or of `Cache-Control`.
    pub(crate) directives: ResponseDirectives,
    /// The freshness lifetime in seconds, if the response gives one or a heuristic applies.
    pub(crate) lifetime: Option<u32>,
    /// Whether `lifetime` is heuristic.
    pub(crate) heuristic: bool,
}
