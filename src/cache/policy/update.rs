//! Freshening stored responses (RFC 9111 §3.2, §4.3.4, §4.3.5).
use super::{NotStorable, Policy, RequestHead, ResponseHead, StoredHead, Terms};
/// What a 304 to a validation request means for the stored response.
#[derive(Debug, Clone)]
pub(crate) enum Freshened {
    /// Send the updated response and store it.
    Updated(StoredHead),
    /// Send the updated response once; the 304 forbids to store it, so drop the stored one.
    Once(StoredHead, NotStorable),
    /// The 304 is about another representation: forward again without validators.
    NotSelected,
}
/// What the response to a HEAD means for a stored GET response.
#[derive(Debug, Clone)]
pub(crate) enum HeadEffect {
    /// Nothing.
    Keep,
    /// Store this head with the body that is stored.
    Update(StoredHead),
    /// The stored response is no longer current: remove it.
    Invalidate,
}
impl Policy {
    /// The stored response after a 304 to its validation.
    pub(crate) fn freshen(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        not_modified: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> Freshened {
        todo!()
    }
    /// What a forwarded HEAD's response says about the stored GET response, whose body has `length` bytes.
    pub(crate) fn head_effect(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        response: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> HeadEffect {
        todo!()
    }
}
