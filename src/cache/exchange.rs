//! One call of the inner service, and again if its answer does not fit what is stored.

use std::pin::pin;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    body::{BoxError, CacheBody},
    future::ready_and_call,
    lookup::Found,
    policy::{Failure, completion_request, make_unconditional, validation_request},
    pump::unless,
    state::now,
    storing::Storing,
    verdict::{Outcome, Times, Verdict},
};

/// Why the inner service is called.
#[derive(Debug)]
pub(super) enum Mode {
    /// For the response.
    Plain,
    /// To learn whether the stored response is still good.
    Validate(Found),
    /// For what the stored part of a response lacks.
    Complete(Found),
}

/// Whom the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its own client: the conditions of that reach the inner service, and so does a 304 back.
    Own,
    /// Others too: it has to have a body, whatever this client has.
    Others,
}

pub(super) struct Exchange<S, B> {
    pub(super) inner: S,
    /// Taken by the first call.
    pub(super) body: Option<B>,
    pub(super) mode: Mode,
    pub(super) purpose: Purpose,
    /// Whether the store is told that a response is on its way.
    pub(super) announces: bool,
    pub(super) verdict: Verdict,
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
    /// In a task of its own, so that those who share it do not depend on this client staying.
    pub(super) async fn shared(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let (mut answer, answered) = tokio::sync::oneshot::channel();
        let lease = self.verdict.state.options.fill_lease;
        let (lead, lapse) = (self.verdict.lead.clone(), Instant::now() + lease);
        let task = async move {
            // It depends on its client once the others may not wait any longer, or are not there
            // and too many go on without a client.
            let forsaken = async {
                answer.closed().await;
                drop(timeout_at(lapse, lead.forsaken()).await);
            };
            match unless(forsaken, self.run()).await {
                None => {}
                Some(Ok((response, rest))) => {
                    // A client that has gone away does not end the fill.
                    drop(answer.send(Ok(response)));
                    if let Some(rest) = rest {
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
                // The runtime is shutting down and takes this task along.
                _ => std::future::pending().await,
            },
        }
    }

    /// The call is this client's alone; only the rest of a body to be stored is not.
    pub(super) async fn alone(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let (response, rest) = self.run().await?;
        if let Some(rest) = rest {
            tokio::spawn(rest.in_current_span());
        }
        Ok(response)
    }

    /// No client waits for the response.
    pub(super) async fn unattended(self) {
        let lease = self.verdict.state.options.fill_lease;
        // There is at most one for each stored response: these may go on, however many there are.
        let _present = self.verdict.lead.fill().attend();
        if let Ok(Ok((response, Some(rest)))) = timeout(lease, self.run()).await {
            drop(response);
            rest.await;
        }
    }

    async fn run(mut self) -> Result<Outcome<ResBody>, S::Error> {
        let state = self.verdict.state.clone();
        let lease = state.options.fill_lease;
        loop {
            let Some(body) = self
                .body
                .take()
                .or_else(|| state.options.request_bodies.empty())
            else {
                return Ok(self.verdict.contradicted().await);
            };
            let Verdict { client, lead, .. } = &self.verdict;
            let mut storing = match self.announces {
                false => Storing::nothing(&state, client),
                true => Storing::begin(&state, client, lead.fill()).await,
            };
            if let Mode::Validate(found) | Mode::Complete(found) = &self.mode {
                storing.saw(found);
            }
            let asked = now();
            let mut call = pin!(ready_and_call(self.inner.clone(), self.request(body)));
            let result = match timeout(lease, call.as_mut()).await {
                Ok(result) => result,
                Err(_) => {
                    storing = Storing::nothing(&state, &self.verdict.client);
                    self.verdict.lapse();
                    call.await
                }
            };
            let times = Times {
                asked,
                answered: now(),
            };
            let mode = std::mem::replace(&mut self.mode, Mode::Plain);
            let stale = |failure, status| match &mode {
                Mode::Validate(found) => self.verdict.stale_on(failure, status, found),
                _ => None,
            };
            let response = match result {
                Err(error) => {
                    self.verdict.lead.failed(Failure::Disconnected);
                    return stale(Failure::Disconnected, None).ok_or(error);
                }
                Ok(response) => response,
            };
            let status = response.status();
            if let Some(outcome) = stale(Failure::Status(status), Some(status)) {
                self.verdict.lead.failed(Failure::Status(status));
                return Ok(outcome);
            }
            let fitting = match mode {
                Mode::Validate(found) if status == StatusCode::NOT_MODIFIED => {
                    self.verdict.freshen(found, &response, times, storing)
                }
                Mode::Complete(found) if status == StatusCode::PARTIAL_CONTENT => {
                    self.verdict.combine(found, response, times, storing).await
                }
                Mode::Validate(found) if self.verdict.client.parts.method == Method::HEAD => {
                    Some(self.verdict.head(&found, response, times, storing).await)
                }
                _ => Some(self.verdict.receive(response, times, storing)),
            };
            if let Some(outcome) = fitting {
                return Ok(outcome);
            }
        }
    }

    /// The request as it goes forward.
    fn request(&self, body: ReqBody) -> Request<ReqBody> {
        let mut parts = self.verdict.client.parts.clone();
        let headers = &mut parts.headers;
        let conditional = match &self.mode {
            Mode::Plain => self.purpose == Purpose::Own,
            Mode::Validate(found) => validation_request(&found.head, headers),
            Mode::Complete(found) => {
                completion_request(&found.head, found.body.len() as u64, headers)
            }
        };
        if !conditional {
            make_unconditional(headers);
        }
        Request::from_parts(parts, body)
    }
}
