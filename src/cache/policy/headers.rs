//! Field lines: lists, connection-specific fields, and header maps in stored form.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::quoted;

/// The fields that belong to one connection or to one client's proxy
/// (RFC 9110 §7.6.1, RFC 9111 §3.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes the fields of one connection: those that `Connection` lists, and the standard ones.
/// `Trailer` stays, since trailers go through to the end.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Shows the names of fields without their values, which may be secrets.
pub(super) struct FieldNames<'a>(pub(super) &'a HeaderMap);

impl fmt::Debug for FieldNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.keys().map(HeaderName::as_str))
            .finish()
    }
}

/// The members of a list field, over all its lines: trimmed, without the empty ones. A comma in a
/// quoted string does not separate.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| split_members(line.as_bytes()))
}

/// The members of a list of tokens (`Connection`, `Vary`), in which no quoted string can stand:
/// every comma separates.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// The members of one line.
pub(super) fn split_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    quoted::split(line, b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// The value of a field that comes once: `None` when it is absent, `Some(None)` when several lines
/// disagree.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Option<Option<&'a HeaderValue>> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    Some(lines.all(|line| line == first).then_some(first))
}

/// A header map as a sequence of its lines, in order and with duplicates.
pub(super) mod stored {
    use std::fmt;

    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
    use serde::ser::{Serialize, SerializeSeq, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        headers: &HeaderMap,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // Compact formats need to know the length beforehand.
        let mut lines = serializer.serialize_seq(Some(headers.len()))?;
        for (name, value) in headers {
            lines.serialize_element(&(name.as_str(), Octets(value)))?;
        }
        lines.end()
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HeaderMap, D::Error> {
        deserializer.deserialize_seq(Lines)
    }

    struct Lines;

    impl<'de> Visitor<'de> for Lines {
        type Value = HeaderMap;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("field lines")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<HeaderMap, A::Error> {
            // A damaged length must not reserve memory.
            let mut headers = HeaderMap::with_capacity(lines.size_hint().unwrap_or(0).min(64));
            while let Some((Name(name), Value(value))) = lines.next_element()? {
                headers
                    .try_append(name, value)
                    .map_err(|_| de::Error::custom("too many field lines"))?;
            }
            Ok(headers)
        }
    }

    /// A field value may hold bytes that are no UTF-8.
    struct Octets<'a>(&'a HeaderValue);

    impl Serialize for Octets<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0.as_bytes())
        }
    }

    pub(in super::super) struct Name(pub(in super::super) HeaderName);

    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct NameVisitor;
            impl Visitor<'_> for NameVisitor {
                type Value = Name;

                fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    formatter.write_str("a field name")
                }

                fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                    name.parse().map(Name).map_err(E::custom)
                }
            }
            deserializer.deserialize_str(NameVisitor)
        }
    }

    struct Value(HeaderValue);

    impl<'de> Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct ValueVisitor;
            impl<'de> Visitor<'de> for ValueVisitor {
                type Value = Value;

                fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    formatter.write_str("a field value")
                }

                fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<Value, E> {
                    HeaderValue::from_bytes(value).map(Value).map_err(E::custom)
                }

                // Formats without bytes (JSON) write them as a sequence of numbers.
                fn visit_seq<A: SeqAccess<'de>>(self, mut octets: A) -> Result<Value, A::Error> {
                    let mut value = Vec::new();
                    while let Some(octet) = octets.next_element()? {
                        value.push(octet);
                    }
                    self.visit_bytes(&value)
                }
            }
            deserializer.deserialize_bytes(ValueVisitor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn fields_listed_in_connection_are_removed() {
        let mut headers = of(&[
            ("connection", "a, b"),
            ("connection", "X-Foo"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("x-foo", "4"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, of(&[("c", "3")]));
    }

    #[test]
    fn connection_specific_fields_are_removed() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authentication-info",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ] {
            let mut headers = of(&[(name, "value"), ("x", "kept"), ("trailer", "kept")]);
            remove_hop_by_hop(&mut headers);
            assert_eq!(headers, of(&[("x", "kept"), ("trailer", "kept")]), "{name}");
        }
    }

    #[test]
    fn members_span_lines_and_keep_quoted_commas() {
        let headers = of(&[("x", r#"a, "b,\" c" ,, d"#), ("x", ""), ("x", "e")]);
        let name = HeaderName::from_static("x");
        let found: Vec<_> = members(&headers, &name).collect();
        assert_eq!(found, [&b"a"[..], br#""b,\" c""#, b"d", b"e"]);
    }
}
