//! The future of a limited request: first the answer of the limits, then the response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    config::Config,
    denial::DenialReason,
    limiter::decision::RateLimitDecision,
    limiter::on_store_error::{Fallback, RateLimitOnStoreError},
};
use crate::{
    body::ResponseBody,
    store::{
        Execute, Store,
        operations::limit::{Acquire, NamedLimit, Outcome, Subject, Wait},
    },
};

pin_project! {
    /// The response of a [`RateLimit`](super::RateLimit) service.
    ///
    /// The inner service is not called before all limits have admitted the request. Dropping
    /// the future before that lets nothing through; what was asked of the store stays consumed.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Asking {
            question: Question,
            // Taken when the question is answered.
            call: Option<(S, Request<B>)>,
        },
        Calling {
            #[pin]
            future: F,
            admitted: Option<Admitted>,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn asking(question: Question, inner: S, request: Request<B>) -> Self {
        let call = Some((inner, request));
        Self {
            state: State::Asking { question, call },
        }
    }

    pub(super) fn unlimited(future: S::Future) -> Self {
        Self::calling(future, None)
    }

    pub(super) fn calling(future: S::Future, admitted: Option<Admitted>) -> Self {
        Self {
            state: State::Calling { future, admitted },
        }
    }

    pub(super) fn refused(response: Response<Bytes>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Asking { question, call } => {
                    let answer = ready!(question.poll(cx));
                    let (mut inner, request) = call
                        .take()
                        .expect("the state is left when the question is answered");
                    let (mut parts, body) = request.into_parts();
                    match answer.apply(&question.config, &mut parts) {
                        Next::Call(admitted) => {
                            let future = inner.call(Request::from_parts(parts, body));
                            State::Calling { future, admitted }
                        }
                        Next::Refuse(response) => {
                            let response = Some(response);
                            State::Refused { response }
                        }
                    }
                }
                StateProjection::Calling { future, admitted } => {
                    let mut response = ready!(future.poll(cx))?;
                    if let Some((config, decision)) = admitted {
                        config.write_fields(response.headers_mut(), decision);
                        decision.put_into(response.extensions_mut());
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProjection::Refused { response } => {
                    let response = response
                        .take()
                        .expect("a future is not polled after it is done");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            state.set(next);
        }
    }
}

/// What is asked of the store for one request.
pub(super) struct Question {
    config: Arc<Config>,
    subject: Subject,
    cost: u64,
    sent_at: Instant,
    execute: Execute<Acquire>,
    /// The answer decides about a denial that the process knows.
    recheck: bool,
    /// The store has failed and the fallback was asked.
    degraded: bool,
}

pub(super) enum Answer {
    Admitted(Option<RateLimitDecision>),
    Denied(DenialReason, Option<RateLimitDecision>),
}

/// What the response to an admitted request is to tell.
type Admitted = (Arc<Config>, RateLimitDecision);

/// What comes of an answer.
pub(super) enum Next {
    Call(Option<Admitted>),
    Refuse(Response<Bytes>),
}

impl Answer {
    /// Tells the handler what the limits have said, or makes the response of a denial.
    pub(super) fn apply(self, config: &Arc<Config>, request: &mut Parts) -> Next {
        match self {
            Self::Admitted(decision) => Next::Call(decision.map(|decision| {
                decision.put_into(&mut request.extensions);
                (config.clone(), decision)
            })),
            Self::Denied(reason, decision) => {
                Next::Refuse(config.deny(reason, decision.as_ref(), request))
            }
        }
    }
}

impl Question {
    /// `now` is a moment before anything is sent.
    pub(super) fn new(
        config: Arc<Config>,
        subject: Subject,
        cost: u64,
        now: Instant,
        recheck: bool,
    ) -> Self {
        let execute = ask(&config.store, &config.limits, subject, cost);
        Self {
            config,
            subject,
            cost,
            sent_at: now,
            execute,
            recheck,
            degraded: false,
        }
    }

    /// The answer, if the store has it without being waited for.
    pub(super) fn answer_at_once(&mut self) -> Option<Answer> {
        if !self.execute.is_ready() {
            return None;
        }
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let config = &self.config;
            let outcomes = match ready!(Pin::new(&mut self.execute).poll(cx)) {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    tracing::debug!(target: "tower_keep::rate_limit", %error, policy = ?config.on_store_error, "the limits are not known");
                    match (&config.fallback, config.on_store_error) {
                        (Some(fallback), _) if !self.degraded => {
                            let Fallback { store, limits, .. } = fallback;
                            self.execute = ask(store, limits, self.subject, self.cost);
                            self.degraded = true;
                            continue;
                        }
                        (_, RateLimitOnStoreError::Allow) => {
                            return Poll::Ready(Answer::Admitted(None));
                        }
                        // The fallback too has no room: nothing passes uncounted by accident.
                        (_, RateLimitOnStoreError::Deny | RateLimitOnStoreError::Local { .. }) => {
                            let reason = DenialReason::StoreUnavailable;
                            return Poll::Ready(Answer::Denied(reason, None));
                        }
                    }
                }
            };
            let admitted = outcomes.iter().all(|outcome| outcome.wait == Wait::None);
            let policies = match (&config.fallback, self.degraded) {
                (Some(fallback), true) => &fallback.policies,
                _ => {
                    self.remember(&outcomes, admitted);
                    &config.policies
                }
            };
            let decision = RateLimitDecision::new(policies, &outcomes, self.degraded);
            return Poll::Ready(match admitted {
                true => Answer::Admitted(Some(decision)),
                false => Answer::Denied(DenialReason::QuotaExceeded, Some(decision)),
            });
        }
    }

    /// Keeps the process's own denials in step with the store's answer.
    fn remember(&self, outcomes: &[Outcome], admitted: bool) {
        let denials = &self.config.local_denials;
        match admitted {
            true if self.recheck => denials.end(self.subject),
            true => {}
            false => denials.put(
                self.subject,
                self.cost,
                outcomes,
                self.sent_at,
                self.recheck,
            ),
        }
    }
}

fn ask(store: &Store, limits: &Arc<[NamedLimit]>, subject: Subject, cost: u64) -> Execute<Acquire> {
    store.execute(Acquire {
        names: store.names().clone(),
        subject,
        limits: limits.clone(),
        cost,
    })
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
