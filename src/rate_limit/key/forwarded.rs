//! The addresses that proxies have written down: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Both are read from the right, entry by entry: each proxy appends to what it was sent, so that
//! the right end is the trusted proxies' and whatever stands on the left of it is the client's.
//! An entry is found without a look at what stands to its left.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

/// The one field that trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardingField {
    /// `X-Forwarded-For`, which nearly all proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl ForwardingField {
    /// The entries of all lines of the field as one list, the last one first. An entry that does
    /// not parse is `None`, and so are `unknown`, obfuscated identifiers and an absent `for`.
    pub(crate) fn hops_from_the_right(
        self,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = Option<IpAddr>> {
        let name = match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name).iter().rev();
        lines.flat_map(move |line| {
            let mut rest = Some(line.as_bytes());
            std::iter::from_fn(move || {
                let (before, entry) = match self {
                    Self::XForwardedFor => {
                        split_last(rest?, |text| text.iter().rposition(is_comma))
                    }
                    Self::Forwarded => split_last(rest?, last_separator),
                };
                rest = before;
                Some(match self {
                    Self::XForwardedFor => address(entry.trim_ascii()),
                    Self::Forwarded => element(entry),
                })
            })
        })
    }
}

/// What stands before the last separator, if there is one, and what stands after it.
fn split_last(text: &[u8], separator: impl Fn(&[u8]) -> Option<usize>) -> (Option<&[u8]>, &[u8]) {
    match separator(text) {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    }
}

fn is_comma(byte: &u8) -> bool {
    *byte == b','
}

/// The last comma that is in no quoted string, read from the right: a quoted string begins at the
/// first quote before its closing one that is not escaped.
fn last_separator(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    (0..text.len()).rev().find(|&at| {
        match text[at] {
            b'"' if !quoted => quoted = true,
            b'"' => quoted = is_escaped(text, at),
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// Whether an odd number of backslashes stands before `at`.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let backslashes = text[..at].iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// The address in the `for` of `[ pair ] *( ";" [ pair ] )`.
fn element(element: &[u8]) -> Option<IpAddr> {
    let mut rest = std::str::from_utf8(element).ok()?;
    let mut hop = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let name_end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        if name_end > 0 {
            let (name, after) = rest.split_at(name_end);
            let (value, after) = value(after.strip_prefix('=')?)?;
            // Each parameter once an element (RFC 7239, section 4).
            if name.eq_ignore_ascii_case("for") && hop.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        match rest.strip_prefix(';') {
            Some(after) => rest = after,
            None if rest.is_empty() => return address(hop?.as_bytes()),
            None => return None,
        }
    }
}

/// `token / quoted-string`, unquoted, and what follows it.
fn value(rest: &str) -> Option<(String, &str)> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        return (end > 0).then(|| (token.to_owned(), after));
    };
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((text, &quoted[index + 1..])),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(c),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`, each also in double quotes.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|addr| addr.ip()))
        .or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    use ForwardingField::{Forwarded, XForwardedFor};

    fn hops(field: ForwardingField, lines: &[&[u8]]) -> Vec<Option<IpAddr>> {
        let name = match field {
            XForwardedFor => X_FORWARDED_FOR,
            Forwarded => header::FORWARDED,
        };
        let lines = lines
            .iter()
            .map(|line| (name.clone(), http::HeaderValue::from_bytes(line).unwrap()));
        let headers = HeaderMap::from_iter(lines);
        field.hops_from_the_right(&headers).collect()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_form_of_an_address_is_read_and_anything_else_is_a_hop_without_one() {
        for (text, expected) in [
            ("192.0.2.1", ip("192.0.2.1")),
            ("192.0.2.1:4711", ip("192.0.2.1")),
            ("2001:db8::1", ip("2001:db8::1")),
            ("[2001:db8::1]", ip("2001:db8::1")),
            ("[2001:db8::1]:4711", ip("2001:db8::1")),
            ("\"[2001:db8::1]:4711\"", ip("2001:db8::1")),
            ("\"192.0.2.1\"", ip("192.0.2.1")),
            ("unknown", None),
            ("_hidden", None),
            ("fe80::1%eth0", None),
            ("192.0.2.1:99999", None),
            ("192.0.2.256", None),
            ("", None),
        ] {
            assert_eq!(
                hops(XForwardedFor, &[text.as_bytes()]),
                [expected],
                "{text}"
            );
        }
    }

    #[test]
    fn repeated_lines_are_one_list() {
        assert_eq!(
            hops(XForwardedFor, &[b"10.0.0.1, junk", b"10.0.0.2,10.0.0.3"]),
            [ip("10.0.0.3"), ip("10.0.0.2"), None, ip("10.0.0.1")]
        );
        assert_eq!(
            hops(Forwarded, &[b"for=10.0.0.1", b"for=10.0.0.2"]),
            [ip("10.0.0.2"), ip("10.0.0.1")]
        );
        for field in [XForwardedFor, Forwarded] {
            assert_eq!(hops(field, &[]), []);
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let cases: &[(&str, &[Option<IpAddr>])] = &[
            (
                "for=192.0.2.43, for=198.51.100.17",
                &[ip("198.51.100.17"), ip("192.0.2.43")],
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                &[ip("2001:db8:cafe::17")],
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                &[ip("192.0.2.60")],
            ),
            ("by=\"a,b;c\\\"\" ; for=\"192.0.2.1\"", &[ip("192.0.2.1")]),
            ("for=\"192.0.2.1\";by=\"a\\\\\"", &[ip("192.0.2.1")]),
            ("for=unknown, for=\"_gazonk\"", &[None, None]),
            ("proto=https", &[None]),
            ("for=10.0.0.1;;proto=http", &[ip("10.0.0.1")]),
            ("for=\"unclosed", &[None]),
            ("for", &[None]),
            ("for=", &[None]),
            ("for=10.0.0.1 by=b", &[None]),
            ("for=10.0.0.1;for=10.0.0.2", &[None]),
            ("for=[::1]", &[None]),
        ];
        for (line, expected) in cases {
            assert_eq!(hops(Forwarded, &[line.as_bytes()]), *expected, "{line}");
        }
    }

    #[test]
    fn nothing_on_the_left_changes_what_stands_on_the_right() {
        let lefts: [&[u8]; 12] = [
            b"",
            b",",
            b"\"",
            b"\\",
            b"\"\\",
            b"for=\"",
            b"for=\"a, for=b",
            b"for=\"\\\"",
            b";;=\"=,\"\",\"",
            b"\xff\xfe, \x80",
            b"for=1.1.1.1;for=1.1.1.1",
            b"for=\"1.1.1.1\\\", for=\"",
        ];
        let cases: [(ForwardingField, &[u8]); 4] = [
            (XForwardedFor, b"192.0.2.1"),
            (XForwardedFor, b"\"[2001:db8::1]:80\""),
            (Forwarded, b"for=192.0.2.1;by=\"_x,\\\"\""),
            (Forwarded, b"for=\"[2001:db8::1]:80\""),
        ];
        for (field, right) in cases {
            let alone = hops(field, &[right])[0];
            assert!(alone.is_some());
            for left in lefts {
                let line = [left, b", ", right].concat();
                assert_eq!(hops(field, &[&line])[0], alone, "{line:?}");
                assert_eq!(hops(field, &[left, right])[0], alone, "{left:?} {right:?}");
            }
        }
    }
}
