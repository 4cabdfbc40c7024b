//! Fields that belong to a connection.
use http::HeaderMap;
/// Removes the fields of one connection: those `Connection` lists and the standard ones (RFC 9110 §7.6.1).
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    todo!()
}
