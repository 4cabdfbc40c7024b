//! One call of the inner service, and again if its answer does not fit what is stored.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    body::{BoxError, CacheBody},
    future::ready_and_call,
    lookup::Found,
    policy::{Failure, completion_request, make_unconditional, validation_request},
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

pub(super) struct Exchange<S, B> {
    pub(super) inner: S,
    /// Taken by the first call; it was empty, so that another call can do without.
    pub(super) body: Option<B>,
    pub(super) mode: Mode,
    pub(super) verdict: Verdict,
}

impl<S, ReqBody, ResBody> Exchange<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Default + Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    /// In a task of its own, so that those who share it do not depend on this client staying.
    pub(super) async fn shared(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let task = async move {
            match self.run().await {
                Ok((response, rest)) => {
                    // A client that has gone away does not end the fill.
                    drop(answer.send(Ok(response)));
                    if let Some(rest) = rest {
                        rest.await;
                    }
                }
                Err(error) => drop(answer.send(Err(error))),
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
        if let Ok((response, Some(rest))) = self.run().await {
            drop(response);
            rest.await;
        }
    }

    async fn run(mut self) -> Result<Outcome<ResBody>, S::Error> {
        loop {
            let Verdict {
                state,
                client,
                lead,
                ..
            } = &self.verdict;
            // A HEAD is stored by nobody; at most it is news of what is stored.
            let nothing = client.parts.method == Method::HEAD && matches!(self.mode, Mode::Plain);
            let mut storing = match nothing {
                true => Storing::nothing(state, client),
                false => Storing::begin(state, client, lead.fill()).await,
            };
            if let Mode::Validate(found) | Mode::Complete(found) = &self.mode {
                storing.saw(found);
            }
            let asked = now();
            let result = self.call().await;
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
                    return stale(Failure::Disconnected, None).ok_or(error);
                }
                Ok(response) => response,
            };
            let status = response.status();
            if let Some(outcome) = stale(Failure::Status(status), Some(status)) {
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

    /// Whether the answer is for this client alone, so that its own conditions go with the request.
    fn is_for_its_client(&self) -> bool {
        let Verdict { state, client, .. } = &self.verdict;
        let forbids = || state.options.policy.forbids_storing(&client.view());
        matches!(self.mode, Mode::Plain) && (state.is_uncacheable(client) || forbids())
    }

    async fn call(&mut self) -> Result<Response<ResBody>, S::Error> {
        let mut parts = self.verdict.client.parts.clone();
        let conditional = match &self.mode {
            Mode::Plain => false,
            Mode::Validate(found) => validation_request(&found.head, &mut parts.headers),
            Mode::Complete(found) => {
                completion_request(&found.head, found.body.len() as u64, &mut parts.headers)
            }
        };
        if !conditional && !self.is_for_its_client() {
            make_unconditional(&mut parts.headers);
        }
        let request = Request::from_parts(parts, self.body.take().unwrap_or_default());
        ready_and_call(self.inner.clone(), request).await
    }
}
