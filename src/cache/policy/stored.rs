//! The head of a stored response.

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::headers::single;
use super::sharing::SharedFields;
use super::validity::Validity;
use super::{RequestHead, ResponseHead, Tag, Terms, Variant, VaryNames};

/// The metadata of a stored response. Of the request it keeps only the hash of the selecting
/// fields: never a `Cookie` or `Authorization`.
///
/// Serialises to its fields in order, so it fits formats without names; field values may hold any
/// bytes, and lines keep their order and their duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHead {
    #[serde(with = "status_code")]
    pub(super) status: StatusCode,
    pub(super) headers: SharedFields,
    pub(super) validity: Validity,
    pub(super) vary: VaryNames,
    pub(super) variant: Variant,
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
    /// The head to store for a response to `request`, with the fields that may be shared.
    pub(super) fn new(
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        terms: &Terms,
        mut fields: SharedFields,
        vary: VaryNames,
        part: Option<Part>,
    ) -> Self {
        if part.is_some() {
            fields.remove_extent();
        }
        Self {
            status: response.status,
            headers: fields,
            validity: Validity::new(terms, response),
            variant: vary.variant(request.headers),
            vary,
            part,
        }
    }

    /// Status and field lines as JSON, for who inspects a store.
    #[cfg(feature = "inspect")]
    pub(crate) fn show(&self) -> serde_json::Value {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("{name}: {value}")
        };
        let fields: Vec<_> = self.headers.iter().map(line).collect();
        serde_json::json!({ "status": self.status.as_u16(), "fields": fields })
    }

    /// The tags that it is stored under.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        Tag::of_response(&self.headers).unwrap_or_default()
    }

    /// The same response, stale from `now` on, whatever its lifetime.
    pub(crate) fn expired(&self, now: u64) -> Self {
        let mut expired = self.clone();
        expired.validity.expire(now);
        expired
    }

    /// The names that `Vary` lists.
    pub(crate) fn vary(&self) -> &VaryNames {
        &self.vary
    }

    /// The secondary key to store it under.
    pub(crate) fn variant(&self) -> Variant {
        self.variant
    }

    /// Whether a stored body of `length` bytes can belong to this head: it has to be as long as
    /// `Content-Length` says. Without that field any length fits; with an invalid one, none does.
    ///
    /// A part may be shorter than its `Content-Range` says, since some origins miscount. It is sent
    /// with the length that it has, and is never combined with another part.
    pub(crate) fn declares(&self, length: u64) -> bool {
        match (self.part, single(&self.headers, &header::CONTENT_LENGTH)) {
            (Some(part), _) => length <= part.length(),
            (None, Some(declared)) => {
                declared.and_then(|declared| digits(declared.as_bytes())) == Some(length)
            }
            (None, None) => true,
        }
    }

    /// About how many bytes it takes in the store: its field lines.
    pub(crate) fn size(&self) -> usize {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + 8
        };
        self.headers.iter().map(line).sum()
    }

    /// Whether the selecting fields match (RFC 9111 §4.1).
    pub(super) fn is_selected_by(&self, request: &RequestHead<'_>) -> bool {
        self.vary.variant(request.headers) == self.variant
    }

    /// Whether it has an `ETag` or `Last-Modified` to validate with.
    pub(crate) fn has_validator(&self) -> bool {
        has_validator(&self.headers)
    }
}

pub(super) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

/// `1*DIGIT`
fn digits(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let all = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| all)?
        .parse()
        .ok()
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::policy::testing::{Request, headers, response, store};
    use crate::cache::policy::{CachePolicy, VaryNames};

    fn read_back(stored: &StoredHead) -> StoredHead {
        let bytes = postcard::to_allocvec(stored).unwrap();
        postcard::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let request = Request::get(&[("foo", "1"), ("accept-language", "de")]);
        let lines = [
            ("cache-control", "max-age=60, stale-if-error=5"),
            ("vary", "Foo, Accept-Language"),
            ("content-range", "bytes 4-9/*"),
            ("content-language", "de"),
            ("link", "<1>"),
            ("link", "<2>"),
        ];
        let stored = store(&request, 206, &lines).unwrap();
        assert_eq!(read_back(&stored), stored);
        let json = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<StoredHead>(&json).unwrap(), stored);
    }

    #[test]
    fn selecting_values_are_not_stored_in_clear() {
        let secret = "a-secret-of-this-user";
        let request = Request::get(&[("cookie", secret), ("authorization", secret)]);
        let lines = [
            ("cache-control", "public, max-age=9"),
            ("vary", "cookie, authorization"),
        ];
        let stored = store(&request, 200, &lines).unwrap();
        let bytes = postcard::to_allocvec(&stored).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found && !format!("{stored:?}").contains(secret));
    }

    #[test]
    fn a_head_declares_the_length_of_its_body() {
        let fresh = ("cache-control", "max-age=60");
        let head = |status, line| store(&Request::get(&[]), status, &[fresh, line]).unwrap();
        let any = head(200, ("x", "1"));
        assert!(any.declares(0) && any.declares(30));
        let thirty = head(200, ("content-length", "30"));
        assert!(thirty.declares(30));
        assert!(!thirty.declares(29) && !thirty.declares(160));
        for odd in ["", "+30", "30, 30", "0x1e", "-1", "18446744073709551616"] {
            let head = head(200, ("content-length", odd));
            assert!(!head.declares(30) && !head.declares(0), "{odd:?}");
        }
        let part = head(206, ("content-range", "bytes 4-9/10"));
        assert!(part.declares(6) && part.declares(5) && !part.declares(7));
        let lines = [fresh, ("content-length", "30"), ("content-length", "31")];
        let twice = store(&Request::get(&[]), 200, &lines).unwrap();
        assert!(!twice.declares(30) && !twice.declares(31));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let lines = headers(&[("cache-control", "max-age=60"), ("x", "1")]);
        let request = Request::get(&[]);
        let stored = CachePolicy::default()
            .storable(&request.head(), &response(200, &lines), |_| {})
            .unwrap();
        let bytes = postcard::to_allocvec(&stored).unwrap();
        for end in 0..bytes.len() {
            assert!(postcard::from_bytes::<StoredHead>(&bytes[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn field_values_of_any_bytes_are_read_back_in_order(values: Vec<Vec<u8>>) {
            let mut lines = headers(&[("cache-control", "max-age=60")]);
            for value in values {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    lines.append("x", value);
                }
            }
            let request = Request::get(&[]);
            let stored = CachePolicy::default().storable(&request.head(), &response(200, &lines), |_| {}).unwrap();
            let found = read_back(&stored);
            prop_assert!(found.headers.get_all("x").iter().eq(lines.get_all("x").iter()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = postcard::from_bytes::<StoredHead>(&bytes);
            let _ = postcard::from_bytes::<VaryNames>(&bytes);
        }
    }
}
