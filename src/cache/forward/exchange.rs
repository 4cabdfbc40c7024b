//! Calling the inner service, and once more if its answer does not fit what is stored.

use std::{future::poll_fn, pin::pin};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    outcome::{Forwarded, Outcome},
    times::Times,
};
use crate::cache::{
    body::CacheBody,
    clock::now,
    error::BoxError,
    fill::unless,
    lookup::Found,
    policy::{Failure, completion_request, make_unconditional, validation_request},
};

/// Why the inner service is called.
#[derive(Debug)]
pub(crate) enum Mode {
    /// To get a response.
    Plain,
    /// To learn whether the stored response is still good.
    Validate(Found),
    /// To get what the stored part of a response lacks.
    Complete(Found),
}

/// For whom the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Only the client that asked: the inner service sees its conditions, and it may get a 304.
    Own,
    /// Others as well: the answer has to have a body, even if this client has it already.
    Others,
}

pub(crate) struct Exchange<S, B> {
    pub(crate) inner: S,
    /// The body of the request; the first call takes it.
    pub(crate) body: Option<B>,
    pub(crate) mode: Mode,
    pub(crate) purpose: Purpose,
    /// Whether to tell the store that a response is on its way.
    pub(crate) announces: bool,
    pub(crate) forwarded: Forwarded,
}

impl<S, ReqBody, ResBody> Exchange<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    /// Runs in a task of its own, so that those who share the answer do not depend on this client.
    pub(crate) async fn shared(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let (mut answer, answered) = tokio::sync::oneshot::channel();
        let lease = self.forwarded.state.options.fill_lease;
        let (lead, lapse) = (self.forwarded.lead.clone(), Instant::now() + lease);
        let task = async move {
            // After its client has left, the task ends when its lease is over, since nobody else
            // waits then, or when nobody waits and too many others go on without clients.
            let forsaken = async {
                answer.closed().await;
                drop(timeout_at(lapse, lead.forsaken()).await);
            };
            match unless(forsaken, self.run()).await {
                None => {}
                Some(Ok(outcome)) => {
                    // A client that has gone away does not end the fill.
                    drop(answer.send(Ok(outcome.response)));
                    if let Some(rest) = outcome.rest {
                        rest.await;
                    }
                }
                Some(Err(error)) => drop(answer.send(Err(error))),
            }
        };
        let task = tokio::spawn(task.in_current_span());
        match answered.await {
            Ok(result) => result,
            Err(_) => match task.await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down, and drops this task too.
                _ => std::future::pending().await,
            },
        }
    }

    /// Runs as a part of this client's request. Only receiving a body is a task of its own.
    pub(crate) async fn alone(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let Outcome { response, rest } = self.run().await?;
        if let Some(rest) = rest {
            tokio::spawn(rest.in_current_span());
        }
        Ok(response)
    }

    /// Runs for no client, to refresh what is stored.
    pub(crate) async fn unattended(self) {
        let lease = self.forwarded.state.options.fill_lease;
        // There is at most one of these for each stored response, so they need no permit.
        let _present = self.forwarded.lead.fill().attend();
        if let Ok(Ok(outcome)) = timeout(lease, self.run()).await {
            drop(outcome.response);
            if let Some(rest) = outcome.rest {
                rest.await;
            }
        }
    }

    async fn run(mut self) -> Result<Outcome<ResBody>, S::Error> {
        let state = self.forwarded.state.clone();
        let lease = state.options.fill_lease;
        loop {
            let Some(body) = self
                .body
                .take()
                .or_else(|| state.options.request_bodies.empty())
            else {
                return Ok(self.forwarded.contradicted().await);
            };
            let Forwarded { client, lead, .. } = &self.forwarded;
            let mut storing = state.storing(client);
            if self.announces {
                storing.announce(lead.fill()).await;
            }
            if let Mode::Validate(found) | Mode::Complete(found) = &self.mode {
                storing.saw(found);
            }
            let asked = now();
            let mut call = pin!(ready_and_call(self.inner.clone(), self.request(body)));
            let result = match timeout(lease, call.as_mut()).await {
                Ok(result) => result,
                Err(_) => {
                    storing = state.storing(&self.forwarded.client);
                    self.forwarded.lapse();
                    call.await
                }
            };
            let times = Times {
                asked,
                answered: now(),
            };
            let mode = std::mem::replace(&mut self.mode, Mode::Plain);
            let stale = |failure, status| match &mode {
                Mode::Validate(found) => self.forwarded.stale_on(failure, status, found),
                _ => None,
            };
            let response = match result {
                Err(error) => {
                    self.forwarded.lead.failed(Failure::Disconnected);
                    return stale(Failure::Disconnected, None).ok_or(error);
                }
                Ok(response) => response,
            };
            let status = response.status();
            if let Some(outcome) = stale(Failure::Status(status), Some(status)) {
                self.forwarded.lead.failed(Failure::Status(status));
                return Ok(outcome);
            }
            let fitting = match mode {
                Mode::Validate(found) if status == StatusCode::NOT_MODIFIED => {
                    self.forwarded.freshen(found, &response, times, storing)
                }
                Mode::Complete(found) if status == StatusCode::PARTIAL_CONTENT => {
                    self.forwarded
                        .combine(found, response, times, storing)
                        .await
                }
                Mode::Validate(found) if self.forwarded.client.parts.method == Method::HEAD => {
                    Some(self.forwarded.head(&found, response, times, storing).await)
                }
                _ => Some(self.forwarded.receive(response, times, storing)),
            };
            if let Some(outcome) = fitting {
                return Ok(outcome);
            }
        }
    }

    /// The request to send to the inner service.
    fn request(&self, body: ReqBody) -> Request<ReqBody> {
        let mut parts = self.forwarded.client.parts.clone();
        let headers = &mut parts.headers;
        let conditional = match &self.mode {
            Mode::Plain => self.purpose == Purpose::Own,
            Mode::Validate(found) => validation_request(&found.head, headers),
            Mode::Complete(found) => completion_request(&found.head, found.length(), headers),
        };
        if !conditional {
            make_unconditional(headers);
        }
        Request::from_parts(parts, body)
    }
}

/// Waits until the inner service is ready, and calls that very clone.
async fn ready_and_call<S: Service<R>, R>(
    mut inner: S,
    request: R,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}
