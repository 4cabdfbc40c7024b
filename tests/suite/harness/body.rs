//! Bodies of requests and responses for the tests: whole, streamed under control, too short.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, header};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};

/// The body of whatever a test sends.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// The sending end of a [`stream`]: data, trailers, or `abort`; dropping it ends the body properly.
pub(crate) type BodySender = Sender<Bytes, io::Error>;

/// A body that is there as a whole and whose length is known.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// No body at all.
pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

/// A body whose frames the test sends one by one.
pub(crate) fn stream() -> (BodySender, Body) {
    let (sender, body) = Channel::new(16);
    (sender, body.boxed())
}

/// A response that promises `declared` bytes and ends after `sent`, which breaks the connection.
pub(crate) fn short(declared: usize, sent: impl Into<Bytes>) -> Response<Body> {
    let body = Short {
        sent: Some(sent.into()),
        flushed: false,
    };
    Response::builder()
        .header(header::CONTENT_LENGTH, declared)
        .body(body.boxed())
        .expect("a length is a valid header value")
}

struct Short {
    sent: Option<Bytes>,
    flushed: bool,
}

impl http_body::Body for Short {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.sent.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        // The server writes out what it has only when there is nothing more at the moment; without this pause it would
        // notice the wrong length first and send nothing at all.
        if !std::mem::replace(&mut self.flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}
