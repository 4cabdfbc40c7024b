//! The response future: the handler's, then the commit, then the head of the response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use pin_project_lite::pin_project;

use super::{
    error::{SessionError, TOO_LARGE, UNAVAILABLE},
    handle::{Session, plan::Ending},
    head::{self, CookieChange},
    report,
};
use crate::{ResponseBody, problem};

pin_project! {
    /// The future of a [`SessionService`](super::SessionService).
    #[derive(Debug)]
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        session: Closing,
        // Of a gRPC call.
        grpc: Option<HeaderValue>,
        commit: Option<Committing<B>>,
    }
}

/// Closes the session when the future ends in any way, so that a task that outlives the request
/// gets an error when it writes, and messages that nobody was shown are given back.
#[derive(Debug)]
struct Closing(Session);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

type Commit = Pin<Box<dyn Future<Output = Result<CookieChange, SessionError>> + Send>>;

/// A commit under way and the response that waits for it.
struct Committing<B> {
    commit: Commit,
    response: Option<Response<B>>,
}

impl<B> std::fmt::Debug for Committing<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committing").finish_non_exhaustive()
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(inner: F, session: Session, grpc: Option<HeaderValue>) -> Self {
        Self {
            inner,
            session: Closing(session),
            grpc,
            commit: None,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let session = &this.session.0;
        let committing = match this.commit {
            Some(committing) => committing,
            None => {
                let response = ready!(this.inner.poll(cx))?;
                let commit: Commit = match session.end(outcome(&response)) {
                    Ending::Done(change) => {
                        return Poll::Ready(Ok(finish(session, response, change)));
                    }
                    Ending::Unavailable => {
                        return Poll::Ready(Ok(refuse(response, this.grpc, &SERVICE_UNAVAILABLE)));
                    }
                    Ending::GiveBack(change) => {
                        let session = session.clone();
                        Box::pin(async move {
                            session.give_back().await;
                            Ok(change)
                        })
                    }
                    Ending::Commit(mut plan) => {
                        let session = session.clone();
                        Box::pin(async move { session.commit(&mut plan).await })
                    }
                };
                this.commit.insert(Committing {
                    commit,
                    response: Some(response),
                })
            }
        };
        let committed = ready!(committing.commit.as_mut().poll(cx));
        let response =
            (committing.response.take()).expect("a future is not polled after it is done");
        Poll::Ready(Ok(match committed {
            Ok(change) => finish(session, response, change),
            Err(SessionError::TooLarge) => refuse(response, this.grpc, &PAYLOAD_TOO_LARGE),
            Err(error) => {
                match &error {
                    SessionError::Unavailable(error) => report::unavailable(error),
                    error => {
                        tracing::warn!(target: "tower_keep::session", %error, "a session could not be committed");
                    }
                }
                refuse(response, this.grpc, &SERVICE_UNAVAILABLE)
            }
        }))
    }
}

/// The status of a response; of a gRPC call that has failed without a body, the HTTP status that
/// says the same.
fn outcome<B>(response: &Response<B>) -> StatusCode {
    let grpc = response.headers().get("grpc-status");
    match grpc.map(HeaderValue::as_bytes) {
        // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
        Some(b"2" | b"4" | b"12" | b"13" | b"14" | b"15") => StatusCode::INTERNAL_SERVER_ERROR,
        _ => response.status(),
    }
}

fn finish<B>(
    session: &Session,
    mut response: Response<B>,
    change: CookieChange,
) -> Response<ResponseBody<B>> {
    if session.was_accessed() {
        let (transports, carrier) = session.transport();
        head::finish(&mut response, transports, carrier, change);
    }
    response.map(ResponseBody::inner)
}

/// Answers with `status` in place of the handler's response: that may tell of changes that were
/// not stored, or rest on a session that could not be loaded. A handler's own response with the
/// same status goes out as it is.
fn refuse<B>(
    response: Response<B>,
    grpc: &mut Option<HeaderValue>,
    (status, detail): &(StatusCode, &'static str),
) -> Response<ResponseBody<B>> {
    if response.status() == *status {
        return response.map(ResponseBody::inner);
    }
    let problem = problem::Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        detail: Some(detail),
        extension: problem::Plain {},
    };
    let request = grpc.take().map(|kind| (CONTENT_TYPE, kind));
    let request = HeaderMap::from_iter(request);
    problem.answer(*status, &request).map(ResponseBody::own)
}

const SERVICE_UNAVAILABLE: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE);
const PAYLOAD_TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
