//! A request with an unsafe method, which is answered even if its client leaves.
//!
//! Its answer says what is out of date in the store, so the cache has to see it. While the client
//! waits, the client's own task drives the call; after it has left, a task of the cache does, for
//! as long as a fill may take. There are at most a few hundred such tasks. A call beyond them, or
//! one that takes longer, is dropped, and its own URI is invalidated, since it is not known what
//! the call has changed.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response, request};
use tokio::{runtime::Handle, sync::oneshot};
use tower_service::Service;
use tracing::Instrument as _;

use super::pass::Pass;
use crate::cache::{
    body::CacheBody,
    invalidation::Invalidating,
    policy::{RequestHead, Tag, invalidated},
    state::State,
};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Answer<B, E> = Result<Response<CacheBody<B>>, E>;

/// The future of such a request.
pub(crate) struct UnsafeCall<B, E> {
    /// Calls the inner service, invalidates and then sends the answer. `None` once it is done.
    work: Option<Work>,
    answer: oneshot::Receiver<Answer<B, E>>,
    state: Arc<State>,
    /// Whether the inner service was called.
    begun: Arc<AtomicBool>,
}

impl<B: Send + 'static, E: Send + 'static> UnsafeCall<B, E> {
    pub(crate) fn new<S, ReqBody>(mut inner: S, request: Request<ReqBody>, pass: Pass) -> Self
    where
        S: Service<Request<ReqBody>, Response = Response<B>, Error = E> + Send + 'static,
        S::Future: Send,
        ReqBody: Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let (send, answer) = oneshot::channel();
        let begun = Arc::<AtomicBool>::default();
        let (state, has_begun) = (pass.state.clone(), begun.clone());
        let work = async move {
            let result = async {
                poll_fn(|cx| inner.poll_ready(cx)).await?;
                has_begun.store(true, Ordering::Relaxed);
                let changes = Changes::unknown(&pass.state, &parts);
                // An error leaves them unknown: the connection may have been lost after the work was done.
                let response = inner.call(Request::from_parts(parts, body)).await?;
                let response = response.map(CacheBody::inner);
                if let Some(invalidating) = changes.known(&response) {
                    invalidating.await;
                }
                Ok(pass.finish(response))
            };
            // The client may have left.
            let result = result.await;
            drop(send.send(result));
        };
        Self {
            work: Some(Box::pin(work)),
            answer,
            state,
            begun,
        }
    }
}

impl<B, E> Future for UnsafeCall<B, E> {
    type Output = Answer<B, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out before it is polled, so that it is not polled again after a panic.
        if let Some(mut work) = self.work.take()
            && work.as_mut().poll(cx).is_pending()
        {
            self.work = Some(work);
            return Poll::Pending;
        }
        let answer = Pin::new(&mut self.answer).poll(cx);
        answer.map(|answer| answer.expect("what is done has answered"))
    }
}

impl<B, E> Drop for UnsafeCall<B, E> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        if !self.begun.load(Ordering::Relaxed) {
            return;
        }
        let unattended = self.state.invalidations.unattended.clone();
        // Without a permit or a runtime it is dropped here, and its changes stay unknown.
        if let (Ok(permit), Ok(runtime)) = (unattended.try_acquire_owned(), Handle::try_current()) {
            let within = tokio::time::timeout(self.state.options.fill_lease, work);
            let task = async move {
                // A call that takes longer is dropped in the same way.
                let _ = within.await;
                drop(permit);
            };
            runtime.spawn(task.in_current_span());
        }
    }
}

/// What an unsafe request has changed, which is unknown until its response is there. Dropped before
/// that, because its client left or the inner service failed, it invalidates the request's own URI.
struct Changes {
    state: Arc<State>,
    /// `None` once the changes are known.
    parts: Option<request::Parts>,
}

impl Changes {
    fn unknown(state: &Arc<State>, parts: &request::Parts) -> Self {
        Self {
            state: state.clone(),
            parts: Some(parts.clone()),
        }
    }

    /// Invalidates what the response shows to be out of date. Returns the first attempt, to be
    /// waited for.
    fn known<B>(mut self, response: &Response<B>) -> Option<Invalidating> {
        let parts = self.parts.take()?;
        let head = RequestHead::new(&parts.method, &parts.uri, &parts.headers);
        let targets = invalidated(&head, response.status(), response.headers());
        let tags = Tag::invalidated(&parts.method, response.status(), response.headers());
        (!targets.is_empty()).then(|| self.state.invalidate_targets(&parts, &targets, &tags))
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // It need not be waited for.
            drop(self.state.invalidate(self.state.own_key(&parts)));
        }
    }
}
