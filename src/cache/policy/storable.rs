//! Whether a response may be stored (RFC 9111 §3).
use super::{Policy, RequestHead, ResponseHead, StoredHead, Terms};
/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStorable {
    Method,
    Status,
    RequestNoStore,
    NoStore,
    NotUnderstood,
    Private,
    Authorization,
    VaryAny,
    Partial,
    NotCacheableByDefault,
    NothingToReuse,
}
impl NotStorable {
    /// A token for `Cache-Status` `detail` and logs.
    pub(crate) fn as_str(self) -> &'static str {
        todo!()
    }
}
impl Policy {
    /// The stored form of the inner service's response, or why it is not stored.
    ///
    /// `adjust` may change the terms before the decision (the deployer's default and clamped
    /// lifetimes, a response extension of the handler); `|_| {}` leaves them.
    pub(crate) fn storable(
        &self,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> Result<StoredHead, NotStorable> {
        todo!()
    }
}
