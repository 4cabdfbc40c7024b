//! The validation request (RFC 9111 §4.3.1).
use super::StoredHead;
use http::HeaderMap;
/// Puts the stored validators in the place of the client's own conditions. A stored whole
/// response is validated as a whole: `Range` goes too. False when there is no validator: the
/// request is then a plain one.
pub(crate) fn validation_request(stored: &StoredHead, headers: &mut HeaderMap) -> bool {
    todo!()
}
/// Removes the client's own conditions (`If-None-Match`, `If-Modified-Since`), so that the answer can be stored and
/// serve others; [`super::Policy::answer`] or [`super::not_modified`] applies them to the answer.
pub(crate) fn make_unconditional(headers: &mut HeaderMap) {
    todo!()
}
