//! Who is limited, as a digest: no address and no API key ever reaches the store.

use std::fmt;

use base64::{display::Base64Display, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// The first 128 bits of a SHA-256 over the parts of a key. Displayed as base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject([u8; 16]);

/// Collects the parts, each with its kind and its length, so that no two lists of parts
/// read the same.
pub(super) struct SubjectHasher {
    sha: Sha256,
    incomplete: bool,
}

impl SubjectHasher {
    pub(super) fn new() -> Self {
        Self {
            sha: Sha256::new(),
            incomplete: false,
        }
    }

    /// Adds the part `name` of a `kind`; `None` for one that the request does not have.
    pub(super) fn part(&mut self, kind: &str, name: &str, value: Option<&[u8]>) {
        self.bytes(kind.as_bytes());
        self.bytes(name.as_bytes());
        match value {
            Some(value) => {
                self.sha.update([1]);
                self.bytes(value);
            }
            None => {
                self.sha.update([0]);
                self.incomplete = true;
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.sha.update((bytes.len() as u64).to_le_bytes());
        self.sha.update(bytes);
    }

    /// The subject, and whether the request had all the parts.
    pub(super) fn finish(self) -> (Subject, bool) {
        let digest = self.sha.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        (Subject(first), !self.incomplete)
    }
}

impl Subject {
    pub(super) fn first_byte(&self) -> u8 {
        self.0[0]
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &BASE64_URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(parts: &[(&str, Option<&str>)]) -> String {
        let mut hasher = SubjectHasher::new();
        for (kind, value) in parts {
            hasher.part("kind", kind, value.map(str::as_bytes));
        }
        hasher.finish().0.to_string()
    }

    #[test]
    fn other_parts_make_another_subject() {
        let lists: &[&[(&str, Option<&str>)]] = &[
            &[],
            &[("a", None)],
            &[("a", Some(""))],
            &[("a", Some("b"))],
            &[("b", Some("a"))],
            &[("a", Some("b")), ("a", Some("b"))],
            &[("a", Some("ba")), ("a", Some(""))],
        ];
        let subjects: std::collections::HashSet<_> =
            lists.iter().map(|list| subject(list)).collect();
        assert_eq!(subjects.len(), lists.len());
    }

    #[test]
    fn it_is_128_bits_that_a_key_can_hold() {
        let subject = subject(&[("ip", Some("192.0.2.1"))]);
        assert_eq!(subject.len(), 22);
        assert!(
            subject
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
    }
}
