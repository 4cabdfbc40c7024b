//! `Cache-Control` (RFC 9111 §5.2).
use http::{HeaderMap, HeaderName};
/// The directives of a response. Seconds; an overflow is 2^31.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    pub(crate) max_age: Option<u32>,
    pub(crate) s_maxage: Option<u32>,
    pub(crate) stale_while_revalidate: Option<u32>,
    pub(crate) stale_if_error: Option<u32>,
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) immutable: bool,
    /// The fields of `no-cache="…"` and `private="…"`, which are not stored.
    pub(crate) withheld: Vec<HeaderName>,
}
