//! The response body of the cache layer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::{error::BoxError, fill::Reader};

pin_project! {
    /// The inner service's own body, a stored one, or one that is being stored while it arrives.
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Stored { #[pin] body: Full<Bytes> },
        Arriving { reader: Reader },
    }
}

impl<B> CacheBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    pub(super) fn stored(body: Bytes) -> Self {
        Self {
            kind: Kind::Stored {
                body: Full::new(body),
            },
        }
    }

    /// A body while it arrives.
    pub(super) fn arriving(reader: Reader) -> Self {
        Self {
            kind: Kind::Arriving { reader },
        }
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx).map_err(Into::into),
            KindProjection::Stored { body } => body
                .poll_frame(cx)
                .map_err(|infallible| match infallible {}),
            KindProjection::Arriving { reader } => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Stored { body } => body.is_end_stream(),
            Kind::Arriving { reader } => reader.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Stored { body } => body.size_hint(),
            Kind::Arriving { reader } => reader
                .left()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    /// The kind of body, without its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = f.debug_struct("CacheBody");
        match &self.kind {
            Kind::Inner { .. } => body.field("kind", &"inner"),
            Kind::Stored { body: stored } => {
                let length = Body::size_hint(stored).exact();
                body.field("kind", &"stored").field("length", &length)
            }
            Kind::Arriving { reader } => body.field("kind", &"arriving").field("reader", reader),
        };
        body.finish_non_exhaustive()
    }
}
