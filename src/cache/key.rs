//! The primary cache key (RFC 9111 §2): it names the resource that a request is for.

use std::borrow::Cow;

use http::{HeaderMap, Uri, uri::PathAndQuery};
use sha2::{Digest, Sha256};

use crate::target;

/// 128 bits of the SHA-256 of scheme, authority, path, query and partition, in hexadecimal.
///
/// It is a digest, because a URL can hold credentials. The digest is collision-resistant, because
/// clients choose the URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PrimaryKey([u8; 32]);

impl PrimaryKey {
    /// The key of `target`, or of the request's own, on the site that the request is for.
    /// `partition` keeps tenants or users apart.
    ///
    /// `None` if it is not certain which site that is. A request that names no site at all is
    /// certain: it is for the one site that the inner service serves.
    pub(crate) fn new(
        uri: &Uri,
        headers: &HeaderMap,
        target: Option<&PathAndQuery>,
        partition: Option<&[u8]>,
    ) -> Option<Self> {
        let authority = target::authority(uri, headers).ok()?.unwrap_or_default();
        let target = target
            .or_else(|| uri.path_and_query())
            .map_or("/", PathAndQuery::as_str);
        // `http://a?q` and `http://a/?q` are the same (RFC 9110 §4.2.3).
        let target = match target.starts_with('?') {
            true => Cow::Owned(format!("/{target}")),
            false => Cow::Borrowed(target),
        };
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(uri.scheme_str().unwrap_or("http").as_bytes());
        match authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => part(authority.to_ascii_lowercase().as_bytes()),
            false => part(authority.as_bytes()),
        }
        part(target.as_bytes());
        if let Some(partition) = partition {
            part(partition);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.finalize()[..16]);
        Some(Self(hex_digits(&key)))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal is ASCII")
    }
}

/// 128 bits in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8; 16]) -> Box<str> {
    let digits = hex_digits(bytes);
    std::str::from_utf8(&digits)
        .expect("hexadecimal is ASCII")
        .into()
}

/// As [`hex`], without an allocation.
pub(crate) fn hex_digits(bytes: &[u8; 16]) -> [u8; 32] {
    // The formatter would take a fifth of the time of a hit.
    let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
    std::array::from_fn(|at| {
        let byte = bytes[at / 2];
        digit(if at % 2 == 0 { byte >> 4 } else { byte & 0xf })
    })
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;

    fn key(uri: &str, host: Option<&str>, partition: Option<&[u8]>) -> Option<PrimaryKey> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, host.parse().unwrap());
        }
        PrimaryKey::new(&uri.parse().unwrap(), &headers, None, partition)
    }

    #[test]
    fn the_authority_may_come_from_the_target_or_from_host_in_any_case() {
        assert_eq!(
            key("http://A.example/x?y", None, None),
            key("/x?y", Some("a.EXAMPLE"), None)
        );
        assert_eq!(key("http://a?y", None, None), key("/?y", Some("a"), None));
    }

    #[test]
    fn host_query_scheme_and_partition_tell_keys_apart() {
        let all = [
            key("/x", Some("a"), None),
            key("/x", Some("b"), None),
            key("/x?", Some("a"), None),
            key("/x?y", Some("a"), None),
            key("https://a/x", None, None),
            key("/x", Some("a"), Some(b"t1")),
            key("/x", Some("a"), Some(b"t2")),
            key("/x", Some("a:80"), None),
            key("/x", None, None),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(one.is_some(), "{n}");
            assert!(all[n + 1..].iter().all(|other| other != one), "{n}");
        }
    }

    #[test]
    fn a_request_that_is_not_for_one_site_has_no_key() {
        assert_eq!(key("http://a/x", Some("b"), None), None);
        assert_eq!(key("/x", Some("a/x"), None), None);
        assert_eq!(key("a:80", None, None), None);
    }
}
