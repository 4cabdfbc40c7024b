//! Every key name in one place: the application's prefix, the kind, the identifier.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrayvec::ArrayString;

/// A complete key, the same on embedded memory and on Redis.
///
/// Made only by [`Namespace`]. The part in braces is the cluster's hash tag.
#[derive(Clone)]
pub(crate) struct Key(Text);

/// Each request makes a key or more, so that those of usual length are not on the heap.
#[derive(Clone)]
enum Text {
    Short(ArrayString<USUAL>),
    Long(Box<str>),
}

/// Enough for a session's key in a namespace of 40 characters.
const USUAL: usize = 104;

impl Key {
    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Text::Short(text) => text,
            Text::Long(text) => text,
        }
    }

    /// A key by its whole name, the namespace included.
    pub(crate) fn whole(name: &str) -> Self {
        Self::join(&[name])
    }

    fn join<'a>(parts: impl IntoIterator<Item = &'a &'a str, IntoIter: Clone>) -> Self {
        let parts = parts.into_iter();
        let length = parts.clone().map(|part| part.len()).sum::<usize>();
        if length <= USUAL {
            let mut key = ArrayString::new();
            parts.for_each(|part| key.push_str(part));
            return Self(Text::Short(key));
        }
        let mut key = String::with_capacity(length);
        parts.for_each(|part| key.push_str(part));
        Self(Text::Long(key.into_boxed_str()))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

    /// `{namespace}:{name}:{parts}`, all parts one after another. `name` says what kind of data
    /// the key is of.
    pub(super) fn key(&self, name: &str, parts: &[&str]) -> Key {
        let names = [self.as_str(), ":", name, ":"];
        Key::join(names.iter().chain(parts))
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
    fn a_key_of_any_length_is_its_namespace_its_kind_and_its_parts() {
        let names = Namespace::new("shop").unwrap();
        let before = "shop:user:".len();
        for length in [
            0,
            1,
            USUAL - before - 1,
            USUAL - before,
            USUAL - before + 1,
            1000,
        ] {
            let part = "x".repeat(length);
            let key = names.key("user", &[&part]);
            assert_eq!(key.as_str(), format!("shop:user:{part}"));
            let (start, end) = part.split_at(length / 2);
            assert_eq!(key, names.key("user", &[start, end]));
            assert_ne!(key, names.key("user", &[&part, "y"]));
        }
    }

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
