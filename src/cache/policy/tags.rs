//! The tags that a response is stored under, and those that an unsafe request invalidates.
//!
//! Four fields name tags, and all of them share one namespace: `Surrogate-Key` and `xkey`, which
//! separate them by spaces, `Cache-Tag`, which does so by commas, and `Cache-Groups` (RFC 9875),
//! a list of strings. Names are compared as they are.

use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};
use sfv::{BareItem, List, ListEntry, Parser};
use sha2::{Digest, Sha256};

use super::headers::split_members;
use super::invalidation::is_invalidating;

/// A tag: 128 bits of the SHA-256 of its name, which may tell something about what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Tag(pub(crate) [u8; 16]);

/// The most tags of a stored response: each is a key to read.
const MOST: usize = 64;

const BY_SPACES: [HeaderName; 2] = [
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("xkey"),
];
static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
static CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
static CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

impl Tag {
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut tag = [0; 16];
        tag.copy_from_slice(&Sha256::digest(name)[..16]);
        Self(tag)
    }

    /// The tags of a response, each once. `None` for more than 64: it could not be found by all.
    pub(crate) fn of_response(headers: &HeaderMap) -> Option<Vec<Self>> {
        let mut tags = Vec::new();
        for name in &BY_SPACES {
            for line in headers.get_all(name) {
                let names = line.as_bytes().split(u8::is_ascii_whitespace);
                tags.extend(names.filter(|name| !name.is_empty()).map(Self::new));
            }
        }
        for line in headers.get_all(&CACHE_TAG) {
            tags.extend(split_members(line.as_bytes()).map(Self::new));
        }
        tags.extend(groups(headers, &CACHE_GROUPS));
        tags.sort_unstable();
        tags.dedup();
        (tags.len() <= MOST).then_some(tags)
    }

    /// The groups that the response to an unsafe request invalidates (RFC 9875 §3). The field
    /// means nothing in the response to a safe one, or to one that failed.
    pub(crate) fn invalidated(
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Vec<Self> {
        if !is_invalidating(method, status) {
            return Vec::new();
        }
        let mut tags: Vec<_> = groups(headers, &CACHE_GROUP_INVALIDATION).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

/// The strings of a list. A field that is no list counts as absent, and so do members of other types.
fn groups(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = Tag> + use<> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    let list = match lines.is_empty() {
        true => List::new(),
        false => Parser::new(&lines.join(&b", "[..]))
            .parse()
            .unwrap_or_default(),
    };
    list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(name) => Some(Tag::new(name.as_str().as_bytes())),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::policy::testing::headers;

    fn tags(names: &[&str]) -> Vec<Tag> {
        let mut tags: Vec<_> = names.iter().map(|name| Tag::new(name.as_bytes())).collect();
        tags.sort_unstable();
        tags
    }

    #[test]
    fn four_fields_name_tags_in_one_namespace() {
        for (name, value, expected) in [
            ("surrogate-key", "a b  c", &["a", "b", "c"][..]),
            ("xkey", " a\tb ", &["a", "b"]),
            ("cache-tag", "a b, c,,d", &["a b", "c", "d"]),
            ("cache-groups", r#""a", "b c";x=1"#, &["a", "b c"]),
            ("cache-groups", r#""a", b, 1, ("c")"#, &["a"]),
            ("cache-groups", r#""a", "#, &[]),
            ("x-cache-tag", "a", &[]),
        ] {
            let found = Tag::of_response(&headers(&[(name, value)]));
            assert_eq!(found, Some(tags(expected)), "{name}: {value}");
        }
        let all = headers(&[
            ("surrogate-key", "a"),
            ("surrogate-key", "b"),
            ("xkey", "a c"),
            ("cache-tag", "d, b"),
            ("cache-groups", r#""a""#),
            ("cache-groups", r#""e""#),
        ]);
        assert_eq!(
            Tag::of_response(&all),
            Some(tags(&["a", "b", "c", "d", "e"]))
        );
    }

    #[test]
    fn a_response_with_more_tags_than_are_read_is_told_apart() {
        let names = |n: usize| (0..n).map(|n| format!("t{n} ")).collect::<String>();
        let found = |n| Tag::of_response(&headers(&[("surrogate-key", &names(n))]));
        assert_eq!(found(MOST).map(|tags| tags.len()), Some(MOST));
        assert_eq!(found(MOST + 1), None);
    }

    #[test]
    fn groups_are_invalidated_by_unsafe_requests_that_succeed() {
        let lines = headers(&[("cache-group-invalidation", r#""a", "b""#)]);
        for (method, status, expected) in [
            (Method::POST, 200, &["a", "b"][..]),
            (Method::DELETE, 303, &["a", "b"]),
            (Method::POST, 404, &[]),
            (Method::POST, 500, &[]),
            (Method::GET, 200, &[]),
            (Method::HEAD, 200, &[]),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = Tag::invalidated(&method, status, &lines);
            assert_eq!(found, tags(expected), "{method} {status}");
        }
    }
}
