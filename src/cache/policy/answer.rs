//! The response made from a stored one (RFC 9111 §4, RFC 9110 §13–§15).

use std::fmt;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::headers::FieldNames;
use super::range::{ByteRange, Selection, unsatisfied_content_range};
use super::{RequestHead, StoredHead};

/// The head to send, and which bytes of the stored body go with it.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// What to send of the stored body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing: HEAD, 304, 416.
    Empty,
    /// All of it.
    Whole,
    /// These bytes, counted from the first stored one.
    Slice(Range<u64>),
}

/// Fields that describe a representation; a 304 sends none (RFC 9110 §15.4.5).
const REPRESENTATION: [HeaderName; 9] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

impl StoredHead {
    /// The answer to `request` from this response, whose stored body has `length` bytes: it applies
    /// the client's own conditions (304) and range (206, 416), HEAD, and `Age`.
    ///
    /// Whether it may answer is decided before, by [`super::CachePolicy::reuse`] or a validation.
    pub(crate) fn answer(&self, request: &RequestHead<'_>, length: u64, now: u64) -> Answer {
        let mut headers = HeaderMap::clone(&self.headers);
        // Room for Age, Cache-Status and a length, in one allocation.
        headers.reserve(3);
        let mut age = itoa::Buffer::new();
        if let Ok(age) = HeaderValue::from_str(age.format(self.age(now))) {
            headers.insert(header::AGE, age);
        }
        if matches!(self.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            if self.is_not_modified(request, now) {
                return unmodified(headers);
            }
            if let Some(answer) = ranged(request, self, length, &mut headers) {
                return answer;
            }
        }
        let head = request.method == Method::HEAD;
        if head && self.status == StatusCode::OK && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Answer {
            status: self.status,
            headers,
            content: if head { Content::Empty } else { Content::Whole },
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &FieldNames(&self.headers))
            .field("content", &self.content)
            .finish()
    }
}

fn unmodified(mut headers: HeaderMap) -> Answer {
    for name in &REPRESENTATION {
        headers.remove(name);
    }
    // The entity tag is the better validator; the date is needed only if there is none.
    if headers.contains_key(header::ETAG) {
        headers.remove(header::LAST_MODIFIED);
    }
    Answer {
        status: StatusCode::NOT_MODIFIED,
        headers,
        content: Content::Empty,
    }
}

fn ranged(
    request: &RequestHead<'_>,
    stored: &StoredHead,
    length: u64,
    headers: &mut HeaderMap,
) -> Option<Answer> {
    let selection = match ByteRange::requested(request, &stored.headers) {
        Some(range) => range.select(stored.part, length),
        None => Selection::Whole,
    };
    let (bytes, part) = match (selection, stored.part) {
        (Selection::Slice(bytes, part), _) => (bytes, part),
        (Selection::Unsatisfiable(complete), _) => {
            return Some(unsatisfiable(headers, complete));
        }
        // A stored part is never sent as a 200.
        (Selection::Whole | Selection::NotStored, Some(part)) => (0..length, part),
        (Selection::Whole | Selection::NotStored, None) => return None,
    };
    headers.insert(header::CONTENT_RANGE, part.content_range());
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(bytes.end - bytes.start),
    );
    Some(Answer {
        status: StatusCode::PARTIAL_CONTENT,
        headers: std::mem::take(headers),
        content: if request.method == Method::HEAD {
            Content::Empty
        } else {
            Content::Slice(bytes)
        },
    })
}

/// A 416, without the fields of the representation that it does not carry.
fn unsatisfiable(headers: &mut HeaderMap, complete: u64) -> Answer {
    let mut headers = std::mem::take(headers);
    for name in &REPRESENTATION {
        headers.remove(name);
    }
    for name in [
        header::ETAG,
        header::LAST_MODIFIED,
        header::CACHE_CONTROL,
        header::EXPIRES,
    ] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_RANGE, unsatisfied_content_range(complete));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Answer {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        headers,
        content: Content::Empty,
    }
}

#[cfg(test)]
mod tests;
