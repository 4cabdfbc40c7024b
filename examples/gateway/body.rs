//! The bodies that pass through.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    common::Error,
    idle::{Idle, IdleLimit},
};

/// A response's body.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// A request's body: the client's, or none for a request that the cache makes itself.
#[derive(Debug, Default)]
pub struct RequestBody {
    upload: Option<IdleLimit<Incoming>>,
    progress: Progress,
}

/// The client's part of a request failed, so that the upstream server cannot have all of it.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not come to its end: {0}")]
pub struct UploadError(Error);

/// When the upstream server last took something of a request's body.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Option<Instant>>>);

impl RequestBody {
    /// `idle` is the longest pause that the client may make.
    pub fn new(upload: Incoming, idle: Duration) -> Self {
        Self {
            upload: Some(IdleLimit::new(upload, idle)),
            progress: Progress::default(),
        }
    }

    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl UploadError {
    /// Whether it is about time.
    pub fn is_idle(&self) -> bool {
        self.0.is::<Idle>()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }
}

impl Progress {
    fn set(&self, to: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Since when the upstream server could have answered; `None` while the client is waited for.
    pub fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(upload) = &mut self.upload else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(upload).poll_frame(cx);
        self.progress.set(frame.is_ready().then(Instant::now));
        frame.map_err(UploadError)
    }

    fn is_end_stream(&self) -> bool {
        self.upload
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.upload
            .as_ref()
            .map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
