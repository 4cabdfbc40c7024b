//! The primary cache key (RFC 9111 §2): what of a request names a resource.

use http::{HeaderMap, Uri, header::HOST, uri::PathAndQuery};
use sha2::{Digest, Sha256};

/// 128 bits of the SHA-256 of scheme, authority, path, query and partition, in hexadecimal.
///
/// A digest, because a URL can hold credentials; one that cannot be collided on purpose,
/// because clients choose the URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PrimaryKey(Box<str>);

impl PrimaryKey {
    /// The key of `target` on the origin that the request named. `partition` keeps tenants or
    /// users apart.
    pub(crate) fn new(
        uri: &Uri,
        headers: &HeaderMap,
        target: Option<&PathAndQuery>,
        partition: Option<&[u8]>,
    ) -> Self {
        let authority = uri.authority().map_or_else(
            || headers.get(HOST).map_or(&b""[..], |host| host.as_bytes()),
            |authority| authority.as_str().as_bytes(),
        );
        let target = target
            .or_else(|| uri.path_and_query())
            .map_or("/", PathAndQuery::as_str);
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(uri.scheme_str().unwrap_or("http").as_bytes());
        part(&authority.to_ascii_lowercase());
        part(target.as_bytes());
        if let Some(partition) = partition {
            part(partition);
        }
        Self(hex(&digest.finalize()[..16]))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> Box<str> {
    // Three of these a hit: the formatter would take a fifth of its time.
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xf));
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str, host: Option<&str>, partition: Option<&[u8]>) -> PrimaryKey {
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
            key("/x", Some("a/x"), None),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all[n + 1..].iter().all(|other| other != one), "{n}");
        }
    }
}
