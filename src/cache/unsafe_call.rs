//! A request of an unsafe method, which the inner service answers to its end.
//!
//! What it changes is out of date in the store, so its answer has to be seen, whether or not its
//! client waits for it. While the client waits it is driven by the client's own task; when the client
//! leaves, by a task of its own, for as long as a fill may take. There are a few hundred such
//! tasks at most: one more, or one that takes longer, ends with its client as any request does,
//! and its own URI is invalidated, since what it did is not known.

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

use super::{
    body::CacheBody,
    future::Pass,
    invalidations::Invalidating,
    policy::{RequestHead, invalidated},
    state::State,
};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Answer<B, E> = Result<Response<CacheBody<B>>, E>;

/// The future of such a request.
pub(super) struct UnsafeCall<B, E> {
    /// Calls the inner service, invalidates, and then answers. `None` once it is done.
    work: Option<Work>,
    answer: oneshot::Receiver<Answer<B, E>>,
    state: Arc<State>,
    /// Whether the inner service was called.
    begun: Arc<AtomicBool>,
}

impl<B: Send + 'static, E: Send + 'static> UnsafeCall<B, E> {
    pub(super) fn new<S, ReqBody>(mut inner: S, request: Request<ReqBody>, pass: Pass) -> Self
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
                let outcome = Outcome::unknown(&pass.state, &parts);
                // An error is no outcome: the connection may be lost after all was done.
                let response = inner.call(Request::from_parts(parts, body)).await?;
                let response = response.map(CacheBody::inner);
                if let Some(invalidating) = outcome.known(&response) {
                    invalidating.await;
                }
                Ok(pass.finish(response))
            };
            // Its client may have left.
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
        // Out of its place: one that panics is not driven any further.
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
        // Without room or a runtime it is dropped here, and its outcome is unknown.
        if let (Ok(permit), Ok(runtime)) = (unattended.try_acquire_owned(), Handle::try_current()) {
            let within = tokio::time::timeout(self.state.options.fill_lease, work);
            let task = async move {
                // What takes longer is dropped likewise.
                let _ = within.await;
                drop(permit);
            };
            runtime.spawn(task.in_current_span());
        }
    }
}

/// What an unsafe request has done; until its response is there, that is unknown. Dropped like
/// that, by a client that leaves or an inner service that fails, it invalidates the request's own
/// URI.
struct Outcome {
    state: Arc<State>,
    /// `None` once it is known.
    parts: Option<request::Parts>,
}

impl Outcome {
    fn unknown(state: &Arc<State>, parts: &request::Parts) -> Self {
        Self {
            state: state.clone(),
            parts: Some(parts.clone()),
        }
    }

    /// The response says what is out of date; what it answers is the first attempt to invalidate
    /// that, to be waited for.
    fn known<B>(mut self, response: &Response<B>) -> Option<Invalidating> {
        let parts = self.parts.take()?;
        let head = RequestHead::new(&parts.method, &parts.uri, &parts.headers);
        let targets = invalidated(&head, response.status(), response.headers());
        (!targets.is_empty()).then(|| self.state.invalidate_targets(&parts, &targets))
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // It goes on by itself.
            drop(self.state.invalidate(self.state.own_key(&parts)));
        }
    }
}
