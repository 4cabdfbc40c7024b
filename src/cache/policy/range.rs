//! Byte ranges (RFC 9110 §14): what a request asks for, and where that is in a stored body.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, header};

use super::entity_tag::EntityTag;
use super::headers::single;
use super::{Part, RequestHead, date};

/// A single byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// `first-` or `first-last`.
    From(u64, Option<u64>),
    /// `-length`
    Suffix(u64),
}

/// The part of a stored body that answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it, as a 200.
    Whole,
    /// These bytes of the stored body, which are that part of the representation, as a 206.
    Slice(Range<u64>, Part),
    /// None, as a 416: the representation has this length, and the range begins after its end.
    Unsatisfiable(u64),
    /// The request needs bytes that are not stored.
    NotStored,
}

impl ByteRange {
    /// The range to answer with, from a response with these fields. `Range` may always be ignored
    /// (§14.2); it is for other methods than GET, other units and several ranges.
    pub(super) fn requested(request: &RequestHead<'_>, response: &HeaderMap) -> Option<Self> {
        if request.method != Method::GET {
            return None;
        }
        let range = single(request.headers, &header::RANGE)??.to_str().ok()?;
        if_range_holds(request.headers, response).then(|| Self::parse(range))?
    }

    fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        match (first, last) {
            ("", length) => Some(Self::Suffix(position(length)?)),
            (first, "") => Some(Self::From(position(first)?, None)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// Finds the range in a stored body of `length` bytes.
    pub(super) fn select(self, part: Option<Part>, length: u64) -> Selection {
        let whole = part.is_none();
        if whole && length == 0 {
            // No 206 can describe an empty representation.
            return match self {
                Self::Suffix(1..) => Selection::Whole,
                _ => Selection::Unsatisfiable(0),
            };
        }
        let part = part.unwrap_or(Part {
            first: 0,
            last: length.saturating_sub(1),
            complete: Some(length),
        });
        match self {
            Self::From(first, last) => select_from(first, last, part, length),
            Self::Suffix(suffix) => select_suffix(suffix, part, length),
        }
    }
}

fn select_from(first: u64, last: Option<u64>, part: Part, length: u64) -> Selection {
    if let Some(complete) = part.complete
        && first >= complete
    {
        return Selection::Unsatisfiable(complete);
    }
    let Some(start) = first.checked_sub(part.first) else {
        return Selection::NotStored;
    };
    let end = match last {
        Some(last) if last < part.last => last - part.first + 1,
        Some(last) if last == part.last => length,
        _ if part.reaches_end() => length,
        _ => return Selection::NotStored,
    };
    slice(start..end, first, part, length)
}

fn select_suffix(suffix: u64, part: Part, length: u64) -> Selection {
    let Some(complete) = part.complete else {
        return Selection::NotStored;
    };
    if suffix == 0 {
        return Selection::Unsatisfiable(complete);
    }
    // Counted from the end of the stored bytes: that is where the representation ends.
    let suffix = suffix.min(complete);
    match length.checked_sub(suffix) {
        Some(start) if part.reaches_end() => slice(start..length, complete - suffix, part, length),
        _ => Selection::NotStored,
    }
}

/// `first` is the position in the representation of the byte at `bytes.start`.
fn slice(bytes: Range<u64>, first: u64, part: Part, length: u64) -> Selection {
    if bytes.is_empty() || bytes.end > length {
        return Selection::NotStored;
    }
    let last = first + (bytes.end - bytes.start - 1);
    let complete = part.complete;
    Selection::Slice(
        bytes,
        Part {
            first,
            last,
            complete,
        },
    )
}

impl Part {
    /// The `Content-Range` of a 206 with a single part in bytes. `None` for an invalid one
    /// (§14.4), which must not be stored.
    pub(super) fn of(response: &HeaderMap) -> Option<Self> {
        let value = single(response, &header::CONTENT_RANGE)??.to_str().ok()?;
        let (unit, range) = value.trim().split_once(' ')?;
        let (span, complete) = range.trim().split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let part = Self {
            first: position(first)?,
            last: position(last)?,
            complete: match complete {
                "*" => None,
                complete => Some(position(complete)?),
            },
        };
        let valid = part.first <= part.last
            && part.last < u64::MAX
            && part.complete.is_none_or(|complete| part.last < complete);
        (unit.eq_ignore_ascii_case("bytes") && valid).then_some(part)
    }

    pub(super) fn content_range(&self) -> HeaderValue {
        let Self { first, last, .. } = self;
        let value = match self.complete {
            Some(complete) => format!("bytes {first}-{last}/{complete}"),
            None => format!("bytes {first}-{last}/*"),
        };
        HeaderValue::try_from(value).expect("digits are visible ASCII")
    }

    pub(super) fn reaches_end(&self) -> bool {
        self.complete == Some(self.last + 1)
    }

    pub(super) fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// The `Content-Range` of a 416.
pub(super) fn unsatisfied_content_range(complete: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{complete}")).expect("digits are visible ASCII")
}

/// `If-Range` needs a strong validator that is the stored one (RFC 9110 §13.1.5).
fn if_range_holds(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(condition) = single(request, &header::IF_RANGE) else {
        return true;
    };
    let Some(condition) = condition else {
        return false;
    };
    let bytes = condition.as_bytes().trim_ascii();
    if bytes.starts_with(b"\"") || bytes.starts_with(b"W/") {
        return EntityTag::of(response)
            .is_some_and(|current| current.strong_eq(&EntityTag::new(bytes)));
    }
    // A modification time is strong once `Date` is past it: a second change would show (§8.8.2.2).
    let modified = response.get(header::LAST_MODIFIED);
    let times = (
        modified.and_then(|modified| date::parse(modified, 0)),
        response
            .get(header::DATE)
            .and_then(|value| date::parse(value, 0)),
    );
    modified == Some(condition) && matches!(times, (Some(modified), Some(date)) if date > modified)
}

/// `1*DIGIT`. A number that overflows is beyond the end of every representation.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
