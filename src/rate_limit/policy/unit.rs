//! What the units of a quota are.

/// What a quota counts: the parameter `qu` of the `RateLimit-Policy` field
/// (draft-ietf-httpapi-ratelimit-headers-10, section 3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum QuotaUnit {
    /// Requests, or whatever their [cost](super::super::RateLimitLayer::with_cost) stands for. Not
    /// told, since clients assume it.
    #[default]
    Requests,
    /// Bytes of content.
    ContentBytes,
    /// Requests at a time.
    ConcurrentRequests,
}

impl QuotaUnit {
    /// The name in the registry of the draft.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::ContentBytes => "content-bytes",
            Self::ConcurrentRequests => "concurrent-requests",
        }
    }
}
