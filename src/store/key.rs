//! Every key name in one place: the application's prefix, the kind, the identifier.

use std::{fmt, sync::Arc};

/// A complete key, the same on embedded memory and on Redis.
///
/// Made only by [`Namespace`]. The part in braces is the cluster's hash tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Box<str>);

impl Key {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A namespace that cannot be a key prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "namespace {0:?} is not a key prefix: use 1 to 64 of the characters a-z A-Z 0-9 . _ - and : inside"
)]
pub struct NamespaceError(String);

/// The prefix of all keys of one application.
///
/// Braces would move the hash tag and glob characters would widen a scan, so a namespace is
/// 1 to 64 of `a-z A-Z 0-9 . _ -`, with `:` allowed between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace(Arc<str>);

impl Namespace {
    pub(crate) const DEFAULT: &'static str = "keep";

    pub(crate) fn new(name: &str) -> Result<Self, NamespaceError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        let valid = (1..=64).contains(&name.len())
            && name.chars().all(allowed)
            && !name.starts_with(':')
            && !name.ends_with(':');
        if valid {
            Ok(Self(name.into()))
        } else {
            Err(NamespaceError(name.chars().take(80).collect()))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(any(
        feature = "cache",
        feature = "key-value",
        feature = "rate-limit",
        feature = "refresh-token",
        feature = "session"
    ))]
    /// `{namespace}:{name}:{parts}`, all parts one after another. `name` says what kind of data
    /// the key is of.
    ///
    /// One allocation of the key's own length: a formatter would grow step by step.
    pub(super) fn key(&self, name: &str, parts: &[&str]) -> Key {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut key = String::with_capacity(self.0.len() + name.len() + 2 + length);
        for part in [&self.0, ":", name, ":"] {
            key.push_str(part);
        }
        parts.iter().for_each(|part| key.push_str(part));
        Key(key.into_boxed_str())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_would_break_hash_tags_or_scans_is_refused_by_name() {
        for bad in ["", "a{b}", "a*", "a b", "é", ":a", "a:", &"x".repeat(65)] {
            let error = Namespace::new(bad).expect_err(bad);
            assert!(error.to_string().contains("namespace"), "{error}");
        }
        for good in ["a", "my-app", "my.app:prod_2"] {
            assert_eq!(
                Namespace::new(good).map(|n| n.as_str().to_owned()),
                Ok(good.to_owned())
            );
        }
    }
}
