//! The response body of the cache layer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::fill::Fill;

/// The error of a body: the inner one's own, or that a shared response broke off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// The inner service's own body, a stored one, or one that is being stored while it arrives.
    #[derive(Debug)]
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Stored { #[pin] body: Full<Bytes> },
        Arriving { reader: Reader },
    }
}

/// A reader of a fill.
#[derive(Debug)]
struct Reader {
    fill: Arc<Fill>,
    next: usize,
    /// What is still to come, if the head declared it.
    left: Option<u64>,
    leader: bool,
    done: bool,
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

    /// The body of `fill` as it arrives; the `leader` is the one that sets the pace of a body
    /// that outgrows the cache.
    pub(super) fn arriving(fill: Arc<Fill>, length: Option<u64>, leader: bool) -> Self {
        let reader = Reader {
            fill,
            next: 0,
            left: length,
            leader,
            done: false,
        };
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
            Kind::Arriving { reader } => reader.done,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Stored { body } => body.size_hint(),
            Kind::Arriving { reader } => {
                reader.left.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
        }
    }
}

impl Reader {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let frame = match std::task::ready!(self.fill.poll_chunk(self.next, self.leader, cx)) {
            Some(Ok(chunk)) => {
                self.next += 1;
                self.left = self
                    .left
                    .map(|left| left.saturating_sub(chunk.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            Some(Err(error)) => Some(Err(BoxError::from(error.to_string()))),
            // They may say what is for their client alone, and hits have none either.
            None => self
                .fill
                .trailers_of_end()
                .filter(|_| self.leader)
                .map(|trailers| Ok(Frame::trailers(trailers))),
        };
        self.done = true;
        Poll::Ready(frame)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.leader {
            self.fill.leader_gone();
        }
    }
}
