//! Entity tags and their comparison (RFC 9110 §8.8.3).

use http::{HeaderMap, header};

use super::headers::{members, single};

/// An entity tag as it stands in a field. One that breaks the syntax (no quotes) is compared as a
/// whole, as a strong tag, so that it equals only itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntityTag<'a> {
    opaque: &'a [u8],
    weak: bool,
}

impl<'a> EntityTag<'a> {
    pub(super) fn new(tag: &'a [u8]) -> Self {
        match tag.strip_prefix(b"W/") {
            Some(opaque) if opaque.starts_with(b"\"") => Self { opaque, weak: true },
            _ => Self {
                opaque: tag,
                weak: false,
            },
        }
    }

    /// The `ETag` of a response. `None` if several lines disagree.
    pub(super) fn of(response: &'a HeaderMap) -> Option<Self> {
        let value = single(response, &header::ETAG)??;
        (!value.is_empty()).then(|| Self::new(value.as_bytes().trim_ascii()))
    }

    pub(super) fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whether they are the same and both strong.
    pub(super) fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Whether they are the same, strong or weak.
    pub(super) fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// Whether `If-None-Match` lists the response's tag (weak comparison, RFC 9110 §13.1.2), or is
/// `*`, which is no member of a list.
pub(super) fn is_listed(request: &HeaderMap, response: &HeaderMap) -> bool {
    let any = single(request, &header::IF_NONE_MATCH).flatten();
    if any.is_some_and(|any| any.as_bytes().trim_ascii() == b"*") {
        return true;
    }
    EntityTag::of(response).is_some_and(|current| {
        members(request, &header::IF_NONE_MATCH)
            .any(|member| EntityTag::new(member).weak_eq(&current))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 9110 §8.8.3.2.
    #[test]
    fn strong_and_weak_comparison() {
        for (left, right, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
            ("\"1\"", "\"2\"", false, false),
            ("1", "\"1\"", false, false),
            ("w/\"1\"", "\"1\"", false, false),
        ] {
            let (left, right) = (
                EntityTag::new(left.as_bytes()),
                EntityTag::new(right.as_bytes()),
            );
            assert_eq!(left.strong_eq(&right), strong, "{left:?} {right:?}");
            assert_eq!(left.weak_eq(&right), weak, "{left:?} {right:?}");
        }
    }
}
