//! A limit for the pauses of a body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::common::Error;

/// Nothing more came of a body for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing more came for {0:?}")]
pub struct Idle(Duration);

pin_project! {
    /// A body that fails with [`Idle`] once it is waited for longer than `limit`. The time in
    /// which nobody asks for more, since a slow reader sets the pace, does not count.
    #[derive(Debug)]
    pub struct IdleLimit<B> {
        #[pin]
        body: B,
        limit: Duration,
        timer: Option<Pin<Box<Sleep>>>,
        waits: bool,
    }
}

impl<B> IdleLimit<B> {
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            timer: None,
            waits: false,
        }
    }
}

impl<B> Body for IdleLimit<B>
where
    B: Body,
    B::Error: Into<Error>,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            *this.waits = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = || Instant::now() + *this.limit;
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline())));
        if !std::mem::replace(this.waits, true) {
            timer.as_mut().reset(deadline());
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Idle(*this.limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
