//! Bodies of requests, which are of any type: each goes to one call of the inner service.
//!
//! Two questions need to know the type: whether a request has content, and how to make the empty
//! body of a second call.

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::{Empty, Full};

/// How an empty body of one type is made and recognised.
struct Kind<B> {
    empty: Box<dyn Fn() -> B + Send + Sync>,
    is_empty: fn(&B) -> bool,
}

/// The types of body that are known: some by themselves, and one that the user named.
#[derive(Clone, Default)]
pub(super) struct RequestBodies {
    named: Option<Arc<dyn Any + Send + Sync>>,
}

impl RequestBodies {
    pub(super) fn new<B: Body + 'static>(empty: impl Fn() -> B + Send + Sync + 'static) -> Self {
        let kind = Kind {
            empty: Box::new(empty),
            is_empty: B::is_end_stream,
        };
        Self {
            named: Some(Arc::new(kind)),
        }
    }

    fn kind<B: 'static>(&self) -> Option<&Kind<B>> {
        self.named.as_deref()?.downcast_ref()
    }

    /// A body for a request that the cache makes itself.
    pub(super) fn empty<B: 'static>(&self) -> Option<B> {
        if let Some(kind) = self.kind::<B>() {
            return Some((kind.empty)());
        }
        #[cfg(feature = "axum")]
        if let Some(body) = cast(axum_core::body::Body::empty()) {
            return Some(body);
        }
        cast(Empty::<Bytes>::new())
            .or_else(|| cast(Full::<Bytes>::default()))
            .or_else(|| cast(String::new()))
    }

    /// Whether a request has content: by its fields (RFC 9112 §6) and, where the kind of body is
    /// known, by the body, since HTTP/2 needs no field for it.
    pub(super) fn has_content<B: 'static>(&self, headers: &HeaderMap, body: &B) -> bool {
        let length = headers.get(header::CONTENT_LENGTH);
        if headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|n| n != "0") {
            return true;
        }
        if let Some(kind) = self.kind::<B>() {
            return !(kind.is_empty)(body);
        }
        #[cfg(feature = "axum")]
        if has_content::<axum_core::body::Body>(body) {
            return true;
        }
        has_content::<Full<Bytes>>(body) || has_content::<String>(body)
    }
}

/// `body`, if it is a `B`.
fn cast<B: 'static>(body: impl Any) -> Option<B> {
    let mut body = Some(body);
    (&mut body as &mut dyn Any)
        .downcast_mut::<Option<B>>()?
        .take()
}

/// Whether `body` is a `Known` with content.
fn has_content<Known: Body + 'static>(body: &dyn Any) -> bool {
    let known = body.downcast_ref::<Known>();
    known.is_some_and(|body| !body.is_end_stream())
}

impl fmt::Debug for RequestBodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBodies")
            .field("named", &self.named.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Not `Default`, not `Body`.
    struct Foreign;

    #[test]
    fn an_empty_body_is_made_of_the_kinds_that_are_known_or_named() {
        let none = RequestBodies::default();
        assert!(none.empty::<Foreign>().is_none());
        assert_eq!(none.empty::<String>().unwrap(), "");
        assert!(none.empty::<Empty<Bytes>>().is_some());
        #[cfg(feature = "axum")]
        assert!(
            none.empty::<axum_core::body::Body>()
                .unwrap()
                .is_end_stream()
        );
        let named = RequestBodies::new(|| "named".to_owned());
        assert_eq!(named.empty::<String>().unwrap(), "named");
        assert!(named.empty::<Foreign>().is_none());
    }

    #[test]
    fn content_is_known_by_the_fields_and_by_bodies_that_tell() {
        let bodies = RequestBodies::default();
        let has = |line: Option<(&'static str, &str)>| {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = line {
                headers.insert(name, value.parse().unwrap());
            }
            bodies.has_content(&headers, &Foreign)
        };
        assert!(!has(None) && !has(Some(("content-length", "0"))));
        assert!(has(Some(("content-length", "1"))) && has(Some(("content-length", "x"))));
        assert!(has(Some(("transfer-encoding", "chunked"))));
        let none = HeaderMap::new();
        assert!(bodies.has_content(&none, &"content".to_owned()));
        assert!(!bodies.has_content(&none, &String::new()));
    }
}
