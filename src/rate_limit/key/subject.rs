//! What requests are counted by, hashed.

use smallvec::SmallVec;

use crate::store::operations::limit::Subject;

/// What subjects are hashed under, so that a digest says nothing to those who do not have it:
/// the whole of IPv4 is hashed in minutes.
#[derive(Clone)]
pub(crate) struct SubjectKey([u8; 32]);

impl SubjectKey {
    /// The key of a namespace: as secret as that is.
    pub(crate) fn of_namespace(namespace: &str) -> Self {
        const CONTEXT: &str = "tower-keep 2026-11-24 rate limit subjects of a namespace";
        Self(blake3::derive_key(CONTEXT, namespace.as_bytes()))
    }

    pub(crate) fn of_secret(secret: &[u8]) -> Self {
        const CONTEXT: &str = "tower-keep 2026-11-24 rate limit subjects under a secret";
        Self(blake3::derive_key(CONTEXT, secret))
    }
}

/// Without the key, which may be a secret.
impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey")
    }
}

/// Collects the parts of a key, each with its kind and its length, so that no two lists of parts
/// read the same.
///
/// They are hashed at once in the end, which takes a third of the time of a hasher that is given
/// them one by one.
pub(crate) struct SubjectHasher<'a> {
    key: &'a SubjectKey,
    parts: SmallVec<[u8; 256]>,
    incomplete: bool,
}

impl<'a> SubjectHasher<'a> {
    pub(crate) fn new(key: &'a SubjectKey) -> Self {
        Self {
            key,
            parts: SmallVec::new(),
            incomplete: false,
        }
    }

    /// Adds the part `name` of a `kind`; `None` for one that the request does not have.
    pub(crate) fn part(&mut self, kind: &str, name: &str, value: Option<&[u8]>) {
        self.bytes(kind.as_bytes());
        self.bytes(name.as_bytes());
        match value {
            Some(value) => {
                self.parts.push(1);
                self.bytes(value);
            }
            None => {
                self.parts.push(0);
                self.incomplete = true;
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        self.parts.extend_from_slice(&length);
        self.parts.extend_from_slice(bytes);
    }

    /// The subject, and whether the request had all the parts.
    pub(crate) fn finish(self) -> (Subject, bool) {
        let hash = blake3::keyed_hash(&self.key.0, &self.parts);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.as_bytes()[..16]);
        (Subject::new(digest), !self.incomplete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(key: &SubjectKey, parts: &[(&str, Option<&str>)]) -> String {
        let mut hasher = SubjectHasher::new(key);
        for (kind, value) in parts {
            hasher.part("kind", kind, value.map(str::as_bytes));
        }
        hasher.finish().0.text().as_str().to_owned()
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
        let key = SubjectKey::of_namespace("keep");
        let subjects: std::collections::HashSet<_> =
            lists.iter().map(|list| subject(&key, list)).collect();
        assert_eq!(subjects.len(), lists.len());
    }

    #[test]
    fn another_namespace_or_secret_makes_another_subject_of_the_same_parts() {
        let keys = [
            SubjectKey::of_namespace("keep"),
            SubjectKey::of_namespace("shop"),
            SubjectKey::of_secret(b"keep"),
            SubjectKey::of_secret(b"shop"),
        ];
        let parts = [("ip", Some("192.0.2.1"))];
        let subjects: std::collections::HashSet<_> =
            keys.iter().map(|key| subject(key, &parts)).collect();
        assert_eq!(subjects.len(), keys.len());
    }

    #[test]
    fn it_is_128_bits_that_a_key_can_hold() {
        let key = SubjectKey::of_namespace("keep");
        let subject = subject(&key, &[("ip", Some("192.0.2.1"))]);
        assert_eq!(subject.len(), 22);
        assert!(
            subject
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
    }
}
