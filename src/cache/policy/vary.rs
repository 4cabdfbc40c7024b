//! `Vary` and the variants of a resource (RFC 9111 §4.1).
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
/// The 128-bit hash of the normalised selecting fields: the secondary cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Variant(pub(crate) [u8; 16]);
/// The names that `Vary` lists: lower case, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VaryNames(Box<[HeaderName]>);
// implements Serialize and Deserialize (a sequence of strings)
impl VaryNames {
    /// All lines of `Vary` combined. `None` for `*` anywhere.
    pub(crate) fn of(response: &HeaderMap) -> Option<Self> {
        todo!()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter()
    }
    /// The variant that a request selects.
    pub(crate) fn variant(&self, request: &HeaderMap) -> Variant {
        todo!()
    }
    /// With [`super::Policy::with_language_selection`]: the second variant to look up, that of the one language the request prefers.
    pub(crate) fn preferred_language_variant(&self, request: &HeaderMap) -> Option<Variant> {
        todo!()
    }
    /// The second variant to store a response under: that of its `Content-Language`.
    pub(crate) fn content_language_variant(
        &self,
        request: &HeaderMap,
        response: &HeaderMap,
    ) -> Option<Variant> {
        todo!()
    }
}
