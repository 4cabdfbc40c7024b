//! The head of a stored response.
use super::{Variant, VaryNames};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
/// The metadata of a stored response: no request field but the hash of the selecting ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) vary: VaryNames,
    pub(super) variant: Variant,
    pub(super) part: Option<Part>,
}
/// Which bytes of the representation the stored body is: the `Content-Range` of a stored 206.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) complete: Option<u64>,
}
impl StoredHead {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
    /// For the service's own rules about fields (`Set-Cookie`, request ids).
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
    /// The names that `Vary` lists; with [`Self::variant`] what the store's index needs.
    pub(crate) fn vary(&self) -> &VaryNames {
        &self.vary
    }
    pub(crate) fn variant(&self) -> Variant {
        self.variant
    }
    pub(crate) fn part(&self) -> Option<Part> {
        self.part
    }
    /// Whether it has an `ETag` or `Last-Modified` to validate with.
    pub(crate) fn has_validator(&self) -> bool {
        todo!()
    }
}
// implements Serialize and Deserialize
