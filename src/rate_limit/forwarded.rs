//! The addresses that proxies have written down: `Forwarded` (RFC 7239) and `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The hops of all `X-Forwarded-For` lines, the client's first. What is no address is `None`.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        // Not text: nothing to read here, but the lines after it still count from the right.
        let text = line.to_str().unwrap_or_default();
        hops.extend(text.split(',').map(|hop| address(hop.trim())));
    }
    (!hops.is_empty()).then_some(hops)
}

/// The `for` of all elements of all `Forwarded` lines, the client's first, where the lines are
/// well-formed. `unknown`, obfuscated identifiers and an absent `for` are `None`.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        let mut rest = line.to_str().ok()?;
        loop {
            let (hop, after) = element(rest)?;
            hops.push(hop);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    (!hops.is_empty()).then_some(hops)
}

/// `[ pair ] *( ";" [ pair ] )`; what follows starts with a comma or is empty.
fn element(mut rest: &str) -> Option<(Option<IpAddr>, &str)> {
    let mut hop = None;
    let mut seen = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let name_end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        if name_end > 0 {
            let (name, after) = rest.split_at(name_end);
            let (value, after) = value(after.strip_prefix('=')?)?;
            if name.eq_ignore_ascii_case("for") {
                // Each parameter once an element (RFC 7239, section 4).
                if std::mem::replace(&mut seen, true) {
                    return None;
                }
                hop = address(&value);
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        match rest.strip_prefix(';') {
            Some(after) => rest = after,
            None if rest.is_empty() || rest.starts_with(',') => return Some((hop, rest)),
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
fn address(text: &str) -> Option<IpAddr> {
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

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (name.clone(), line.parse().unwrap()))
            .collect()
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
            assert_eq!(address(text), expected, "{text}");
        }
    }

    #[test]
    fn repeated_lines_are_one_list() {
        let map = headers(&X_FORWARDED_FOR, &["10.0.0.1, junk", "10.0.0.2,10.0.0.3"]);
        assert_eq!(
            x_forwarded_for(&map),
            Some(vec![ip("10.0.0.1"), None, ip("10.0.0.2"), ip("10.0.0.3")])
        );
        assert_eq!(x_forwarded_for(&HeaderMap::new()), None);
        let map = headers(&header::FORWARDED, &["for=10.0.0.1", "for=10.0.0.2"]);
        assert_eq!(forwarded(&map), Some(vec![ip("10.0.0.1"), ip("10.0.0.2")]));
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let cases: &[(&str, Option<&[Option<IpAddr>]>)] = &[
            (
                "for=192.0.2.43, for=198.51.100.17",
                Some(&[ip("192.0.2.43"), ip("198.51.100.17")]),
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                Some(&[ip("2001:db8:cafe::17")]),
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                Some(&[ip("192.0.2.60")]),
            ),
            (
                "by=\"a,b;c\\\"\" ; for=\"192.0.2.1\"",
                Some(&[ip("192.0.2.1")]),
            ),
            ("for=unknown, for=\"_gazonk\"", Some(&[None, None])),
            ("proto=https", Some(&[None])),
            ("for=10.0.0.1;;proto=http", Some(&[ip("10.0.0.1")])),
            ("for=\"unclosed", None),
            ("for", None),
            ("for=", None),
            ("for=10.0.0.1 by=b", None),
            ("for=10.0.0.1;for=10.0.0.2", None),
            ("for=[::1]", None),
        ];
        for (line, expected) in cases {
            let map = headers(&header::FORWARDED, &[line]);
            assert_eq!(forwarded(&map).as_deref(), *expected, "{line}");
        }
    }
}
