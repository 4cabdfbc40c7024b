//! The head of a stored response.

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::freshness::Validity;
use super::{Variant, VaryNames, headers};

/// The metadata of a stored response. Of the request it keeps only the hash of the selecting
/// fields: never a `Cookie` or `Authorization`.
///
/// Serialises to its fields in order, so it fits formats without names; field values may hold any
/// bytes, and lines keep their order and their duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHead {
    #[serde(with = "status_code")]
    pub(super) status: StatusCode,
    #[serde(with = "headers::stored")]
    pub(super) headers: HeaderMap,
    pub(super) validity: Validity,
    pub(super) vary: VaryNames,
    pub(super) variant: Variant,
    /// The second variant it is stored under: that of its `Content-Language`.
    pub(super) language_variant: Option<Variant>,
    pub(super) part: Option<Part>,
}

/// Which bytes of the representation the stored body holds: the `Content-Range` of a stored 206.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The position of the first stored byte.
    pub(crate) first: u64,
    /// The position of the last stored byte.
    pub(crate) last: u64,
    /// The length of the representation, if known.
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

    /// The names that `Vary` lists.
    pub(crate) fn vary(&self) -> &VaryNames {
        &self.vary
    }

    /// The secondary key to store it under.
    pub(crate) fn variant(&self) -> Variant {
        self.variant
    }

    /// With [`super::Policy::with_language_selection`], a second one.
    pub(crate) fn language_variant(&self) -> Option<Variant> {
        self.language_variant
    }

    /// The stored part, if it is not the whole representation.
    pub(crate) fn part(&self) -> Option<Part> {
        self.part
    }

    /// Whether it has an `ETag` or `Last-Modified` to validate with.
    pub(crate) fn has_validator(&self) -> bool {
        has_validator(&self.headers)
    }
}

pub(super) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

mod status_code {
    use http::StatusCode;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(
        status: &StatusCode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
