//! Which site a request is for (RFC 9110 §7.1 and §7.2, RFC 9112 §3.2).
//!
//! A request can name its site in two places: in the authority of its target (`:authority` in
//! HTTP/2) and in `Host`. Where the two differ, a cache may file under one name what the server
//! behind it made for the other, and so serve one site's page as another's. Whatever decides by a
//! request's site asks [`authority`], which answers only when there is one answer. The
//! [cache](crate::cache) makes its keys of nothing else: a request without an answer is neither
//! served from it, nor stored, and invalidates nothing.
//!
//! A gateway that speaks HTTP/1.1 has two more rules: a request has exactly one valid `Host`,
//! which [`host`] checks, and a target in absolute-form replaces it.
//!
//! ```
//! use http::Request;
//! use tower_keep::target::{TargetError, authority};
//!
//! let request = Request::get("/page").header("host", "Shop.Example:8080").body(()).unwrap();
//! let site = authority(request.uri(), request.headers());
//! assert_eq!(site, Ok(Some("Shop.Example:8080")));
//!
//! let request = Request::get("http://shop.example/page").header("host", "evil.example");
//! let request = request.body(()).unwrap();
//! let site = authority(request.uri(), request.headers());
//! assert_eq!(site, Err(TargetError::Contradiction));
//! ```

use std::net::Ipv6Addr;

use http::{HeaderMap, Uri, header::HOST};

/// Why a request is not for one site for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is more than one `Host` line, equal or not.
    #[error("the request has more than one Host field")]
    RepeatedHost,
    /// `Host` is no host with an optional port.
    #[error("the Host field is not a valid host and port")]
    InvalidHost,
    /// The target's authority is no host with an optional port, it has user information, or there is an
    /// authority without a scheme, which only `CONNECT` has.
    #[error("the authority of the request's target is not a valid host and port")]
    InvalidAuthority,
    /// The target and `Host` name two sites.
    #[error("the request's target and its Host field name two sites")]
    Contradiction,
}

/// The site that `Host` names, as it was sent, or `None` without the field.
///
/// Valid is the `uri-host [ ":" port ]` of RFC 9110 §7.2 with a host that is not empty: a
/// registered name, an IPv4 address or an IPv6 address in brackets (without a zone), and a port
/// up to 65535, which may be empty.
///
/// # Errors
///
/// [`TargetError::RepeatedHost`] and [`TargetError::InvalidHost`].
pub fn host(headers: &HeaderMap) -> Result<Option<&str>, TargetError> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(host) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(TargetError::RepeatedHost);
    }
    match host.to_str() {
        Ok(host) if is_site(host) => Ok(Some(host)),
        _ => Err(TargetError::InvalidHost),
    }
}

/// The one site that a request is for, as it was sent, or `None` if it names none at all.
///
/// Names are compared without regard to case and otherwise as they are: with the default port
/// and without it are two names, since the server behind may tell them apart.
///
/// # Errors
///
/// Those of [`host`], [`TargetError::InvalidAuthority`] and [`TargetError::Contradiction`].
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, TargetError> {
    let host = host(headers)?;
    let Some(named) = uri.authority().map(http::uri::Authority::as_str) else {
        return Ok(host);
    };
    if uri.scheme().is_none() || !is_site(named) {
        return Err(TargetError::InvalidAuthority);
    }
    match host {
        Some(host) if !host.eq_ignore_ascii_case(named) => Err(TargetError::Contradiction),
        _ => Ok(Some(named)),
    }
}

/// `host [ ":" port ]` (RFC 3986 §3.2.2 and §3.2.3).
///
/// Not by [`http::uri::Authority`]: it takes user information, ports that are none and whatever
/// is in brackets, it refuses percent-encoded names, and it would copy the field.
fn is_site(text: &str) -> bool {
    let (is_host, port) = if let Some(literal) = text.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else {
            return false;
        };
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (is_registered_name(name), port)
    };
    is_host && is_port(port)
}

/// Nothing, or a colon and a decimal number of 16 bits, or of no digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.is_empty() || digits.parse::<u16>().is_ok())
        })
}

/// A `reg-name` that is not empty; IPv4 addresses have the same characters.
fn is_registered_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => {
                let mut is_hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                is_hex() && is_hex()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_valid {
            return false;
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, hosts: &[&str]) -> Result<Option<String>, TargetError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(
                HOST,
                http::HeaderValue::from_bytes(host.as_bytes()).unwrap(),
            );
        }
        authority(&uri.parse().unwrap(), &headers).map(|site| site.map(str::to_owned))
    }

    #[test]
    fn a_site_is_a_host_with_an_optional_port() {
        for site in [
            "a",
            "A.b",
            "a_b",
            "1.2.3.4",
            "1.2.3.4:5",
            "a:",
            "a:65535",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:",
            "a%41",
            "!$&'()*+,;=~",
        ] {
            assert_eq!(of("/", &[site]), Ok(Some(site.to_owned())), "{site}");
        }
        for none in [
            "",
            " ",
            ":",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a\\b",
            "\"a\"",
            "<a>",
            "a:b",
            "a:+1",
            "a:65536",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]1",
            "[::1%25a]",
            "[a]",
            "[]",
            "[v1.a]",
            "a%",
            "a%4",
            "a%4g",
            "caf\u{e9}",
            "a\t",
        ] {
            assert_eq!(of("/", &[none]), Err(TargetError::InvalidHost), "{none:?}");
        }
    }

    #[test]
    fn target_and_host_agree_without_regard_to_case_or_are_an_error() {
        assert_eq!(of("/", &[]), Ok(None));
        for uri in ["http://A.b/", "https://A.b/p", "http://A.b", "http://A.b?q"] {
            assert_eq!(of(uri, &[]), Ok(Some("A.b".to_owned())), "{uri}");
            assert_eq!(of(uri, &["a.B"]), Ok(Some("A.b".to_owned())), "{uri}");
        }
        for host in ["b", "a.b:80", "a.b."] {
            assert_eq!(of("http://a.b/", &[host]), Err(TargetError::Contradiction));
        }
        for hosts in [["a", "a"], ["a", "b"]] {
            assert_eq!(of("http://a/", &hosts), Err(TargetError::RepeatedHost));
        }
    }

    #[test]
    fn an_authority_has_a_scheme_and_no_user() {
        for uri in [
            "a.b:80",
            "a",
            "http://u@a/",
            "http://u:p@a/",
            "http://a:99999/",
        ] {
            assert_eq!(of(uri, &[]), Err(TargetError::InvalidAuthority), "{uri}");
        }
    }
}
