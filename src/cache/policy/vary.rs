//! `Vary` and the variants of a resource (RFC 9111 §4.1).

use std::fmt;

use http::{HeaderMap, HeaderName, header};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::headers::{stored::Name, tokens};
use super::negotiation::normalised;

/// The secondary cache key: 128 bits of the SHA-256 of the normalised selecting fields, zeros if
/// there are none.
///
/// The hash keeps cookies and credentials that a response varies on out of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Variant(pub(crate) [u8; 16]);

impl fmt::Debug for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Variant({:032x})", u128::from_be_bytes(self.0))
    }
}

/// The names that `Vary` lists: in lower case, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VaryNames(Box<[HeaderName]>);

impl VaryNames {
    /// The names of all `Vary` lines. `None` if there is a `*` or something that is not a field name:
    /// then it is not known which requests match.
    pub(crate) fn of(response: &HeaderMap) -> Option<Self> {
        let mut names = tokens(response, &header::VARY)
            .map(|member| {
                let name = HeaderName::from_bytes(member).ok()?;
                (name != "*").then_some(name)
            })
            .collect::<Option<Vec<_>>>()?;
        names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
        names.dedup();
        Some(Self(names.into()))
    }

    /// The names as the store's index has them: joined by commas.
    pub(crate) fn to_list(&self) -> Box<str> {
        self.0
            .iter()
            .map(HeaderName::as_str)
            .collect::<Vec<_>>()
            .join(",")
            .into()
    }

    /// Reads what [`to_list`](Self::to_list) wrote. `None` for anything else.
    pub(crate) fn from_list(list: &str) -> Option<Self> {
        let names = list.split(',').filter(|name| !name.is_empty());
        names
            .map(|name| HeaderName::try_from(name).ok())
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Whether there is only one variant.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variant that a request with these fields selects.
    pub(crate) fn variant(&self, request: &HeaderMap) -> Variant {
        if self.is_empty() {
            return Variant([0; 16]);
        }
        // What a field contributes begins with its kind and length, so that no two requests run together.
        const ABSENT: u8 = 0;
        const PRESENT: u8 = 1;
        let mut hash = Sha256::new();
        for name in &self.0 {
            let mut field = |kind: u8, value: &[u8]| {
                for part in [name.as_str().as_bytes(), value] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                hash.update([kind]);
            };
            match normalised(request, name) {
                Some(value) => field(PRESENT, &value),
                None => field(ABSENT, &[]),
            }
        }
        let mut variant = [0; 16];
        variant.copy_from_slice(&hash.finalize()[..16]);
        Variant(variant)
    }
}

impl Serialize for VaryNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(HeaderName::as_str))
    }
}

impl<'de> Deserialize<'de> for VaryNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<Name>::deserialize(deserializer)?;
        Ok(Self(names.into_iter().map(|Name(name)| name).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn vary(lines: &[&str]) -> Option<VaryNames> {
        let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        VaryNames::of(&headers(&lines))
    }

    #[test]
    fn all_lines_are_combined_sorted_and_lower_case() {
        let names = vary(&["Foo, bar", "Accept", "BAR,,"]).unwrap();
        let names: Vec<_> = names.0.iter().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept", "bar", "foo"]);
        assert!(vary(&[]).unwrap().is_empty());
        assert!(vary(&[""]).unwrap().is_empty());
    }

    #[test]
    fn a_star_or_what_is_no_field_name_matches_nothing() {
        for lines in [
            &["*"][..],
            &["*, *"],
            &["*", "*"],
            &[", *"],
            &["", "*"],
            &["*, Foo"],
            &["Foo, *"],
            &["Foo", "*"],
            &["no name"],
            &["a\"b, *\""],
            &["Foo, \"Bar\""],
            &["Foo;Bar"],
        ] {
            assert_eq!(vary(lines), None, "{lines:?}");
        }
        for line in [&b"Foo, \xff"[..], b"\xe9tag", "Sprache\u{e4}".as_bytes()] {
            let headers = [(header::VARY, http::HeaderValue::from_bytes(line).unwrap())];
            assert_eq!(
                VaryNames::of(&headers.into_iter().collect()),
                None,
                "{line:?}"
            );
        }
    }

    #[test]
    fn only_listed_fields_select() {
        let names = vary(&["Foo, Bar"]).unwrap();
        let variant = |lines: &[(&'static str, &str)]| names.variant(&headers(lines));
        let stored = variant(&[("foo", "1"), ("bar", "abc"), ("other", "2")]);
        assert_eq!(
            stored,
            variant(&[("bar", "abc"), ("other", "3"), ("foo", "1")])
        );
        for other in [
            &[("foo", "2"), ("bar", "abc")][..],
            &[("foo", "1"), ("bar", "abcde")],
            &[("foo", "1")],
            &[("bar", "abc")],
            &[("foo", "1"), ("bar", "")],
            &[("foo", "abc"), ("bar", "1")],
            &[],
        ] {
            assert_ne!(stored, variant(other), "{other:?}");
        }
        let absent = variant(&[("foo", "1")]);
        assert_eq!(absent, variant(&[("foo", "1"), ("baz", "789")]));
        assert_ne!(absent, variant(&[("foo", "1"), ("bar", "")]));
    }

    #[test]
    fn fields_do_not_run_together() {
        let names = vary(&["a, b"]).unwrap();
        assert_ne!(
            names.variant(&headers(&[("a", "1b"), ("b", "")])),
            names.variant(&headers(&[("a", "1"), ("b", "b")])),
        );
        assert_ne!(
            vary(&["a"]).unwrap().variant(&headers(&[("a", "bc")])),
            vary(&["ab"]).unwrap().variant(&headers(&[("ab", "c")])),
        );
    }
}
