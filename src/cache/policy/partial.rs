//! Completing stored parts of a representation (RFC 9111 §3.3, §3.4).

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::entity_tag::EntityTag;
use super::sharing::OwnFields;
use super::update::Updated;
use super::validation::make_unconditional;
use super::{CachePolicy, Part, RequestHead, ResponseHead, StoredHead, Terms};

/// A stored part and a new one, combined: a larger part, or a 200 once nothing is missing.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    pub(crate) head: StoredHead,
    /// The fields of the new part that are for its own client only.
    pub(crate) own: OwnFields,
    /// The pieces of the body, in order.
    pub(crate) body: Vec<Piece>,
}

/// Bytes of one of the two bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Of the stored body.
    Stored(Range<u64>),
    /// Of the body of the new response.
    New(Range<u64>),
}

/// Makes `headers` ask for the missing bytes of a stored part with a body of `length` bytes: `Range`,
/// and `If-Range` if it has a strong validator. Returns false and changes nothing if one range
/// cannot complete it.
///
/// A 206 may be combined with it only by a strong validator. Without one, an origin that honours
/// the range has to be asked again for everything; an origin that ignores it sends everything.
pub(crate) fn completion_request(
    stored: &StoredHead,
    length: u64,
    headers: &mut HeaderMap,
) -> bool {
    let Some(range) = missing(stored, length) else {
        return false;
    };
    make_unconditional(headers);
    headers.insert(header::RANGE, range);
    headers.remove(header::IF_RANGE);
    if strong_tag(&stored.headers).is_some()
        && let Some(tag) = stored.headers.get(header::ETAG)
    {
        headers.insert(header::IF_RANGE, tag.clone());
    }
    true
}

/// The one range that is missing from a stored part.
pub(super) fn missing(stored: &StoredHead, length: u64) -> Option<HeaderValue> {
    let part = stored.part.filter(|part| part.length() == length)?;
    let range = if part.first == 0 && !part.reaches_end() {
        format!("bytes={}-", part.last + 1)
    } else if part.first > 0 && part.reaches_end() {
        format!("bytes=0-{}", part.first - 1)
    } else {
        return None;
    };
    HeaderValue::try_from(range).ok()
}

impl CachePolicy {
    /// Combines the stored part, a body of `length` bytes, with the 206 `response`, a body of
    /// `new_length` bytes. `None` if they must not be combined or would not form one part: then
    /// a client that asked for everything needs another request.
    pub(crate) fn combine(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        response: &ResponseHead<'_>,
        new_length: u64,
        adjust: impl FnOnce(&mut Terms),
    ) -> Option<Combined> {
        let old = stored.part.filter(|part| part.length() == length)?;
        let new = Part::of(response.headers).filter(|part| part.length() == new_length)?;
        let same_representation =
            strong_tag(&stored.headers)?.strong_eq(&strong_tag(response.headers)?);
        let adjoining = old.first <= new.last + 1 && new.first <= old.last + 1;
        if response.status != StatusCode::PARTIAL_CONTENT
            || !same_representation
            || !adjoining
            || old.complete != new.complete
        {
            return None;
        }
        let Updated {
            mut head,
            own,
            permission,
        } = self.updated(request, stored, response, adjust);
        permission.ok()?;
        let part = Part {
            first: old.first.min(new.first),
            last: old.last.max(new.last),
            complete: old.complete,
        };
        if part.first == 0 && part.reaches_end() {
            head.status = StatusCode::OK;
            head.part = None;
            head.headers.set_length(part.length());
        } else {
            head.part = Some(part);
        }
        Some(Combined {
            head,
            own,
            body: pieces(old, new),
        })
    }
}

/// The new bytes, with the stored bytes before and after them.
fn pieces(old: Part, new: Part) -> Vec<Piece> {
    let before = new.first.saturating_sub(old.first);
    let after = (new.last + 1).saturating_sub(old.first).min(old.length());
    [
        Piece::Stored(0..before.min(old.length())),
        Piece::New(0..new.length()),
        Piece::Stored(after..old.length()),
    ]
    .into_iter()
    .filter(|piece| {
        let (Piece::Stored(bytes) | Piece::New(bytes)) = piece;
        !bytes.is_empty()
    })
    .collect()
}

fn strong_tag(headers: &HeaderMap) -> Option<EntityTag<'_>> {
    EntityTag::of(headers).filter(|tag| !tag.is_weak())
}

#[cfg(test)]
mod tests;
