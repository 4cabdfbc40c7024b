//! The future of a limited request: first the answer of the limits, then the response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tokio::{runtime::Handle, time::Instant};
use tower_service::Service;

use super::{
    denial::DenialReason,
    limiter::{Answer, Ask, Asked, HeldPlaces, Question, RateLimitDecision},
    preparation::{Preparation, Prepared},
    settings::Settings,
};
use crate::body::ResponseBody;

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
        Waiting {
            waiting: Waiting,
            // Taken when it is over.
            call: Option<(S, B)>,
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

/// What the response to an admitted request is to tell, and what is held until it has ended.
pub(super) struct Admitted {
    settings: Arc<Settings>,
    decision: RateLimitDecision,
    places: Option<HeldPlaces>,
    cost: u64,
}

/// What a request waits for.
pub(super) struct Waiting {
    settings: Arc<Settings>,
    kind: WaitingFor,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a request moves it once or twice; a box would be an allocation each"
)]
enum WaitingFor {
    Preparation(Preparation),
    Answer {
        question: Question,
        cost: u64,
        // Taken when the question is answered.
        request: Option<Parts>,
    },
}

/// What is done with a request next.
#[allow(
    clippy::large_enum_variant,
    reason = "a request moves it once or twice; a box would be an allocation each"
)]
pub(super) enum Step {
    Call(Parts, Option<Admitted>),
    Refuse(Response<Bytes>),
    Wait(Waiting),
}

impl Step {
    /// What is done with a request that has just come.
    pub(super) fn first(settings: &Arc<Settings>, request: Parts) -> Self {
        if settings.skips(&request) {
            return Self::Call(request, None);
        }
        if settings.has_to_wait() {
            return Self::Wait(Waiting {
                settings: settings.clone(),
                kind: WaitingFor::Preparation(settings.prepare_later(request)),
            });
        }
        let prepared = settings.prepare(&request);
        Self::ask(settings, request, prepared)
    }

    fn ask(settings: &Arc<Settings>, request: Parts, prepared: Prepared) -> Self {
        let (subject, set, cost) = match prepared {
            Prepared::Limited { subject, set, cost } => (subject, set, cost),
            Prepared::Unlimited => return Self::Call(request, None),
            Prepared::Refused => {
                return Self::deny(settings, request, DenialReason::MissingKey, None);
            }
        };
        let ask = Ask {
            subject,
            set,
            cost,
            reserves: settings.reserves,
        };
        let mut question = match settings.limiter.limits().ask(ask, Instant::now()) {
            Asked::Denied(decision) => return Self::denied(settings, request, decision),
            Asked::Admitted(permit) => {
                return Self::apply(settings, request, cost, Answer::Decided(permit));
            }
            Asked::Question(question) => question,
        };
        match question.answer_at_once() {
            Some(answer) => Self::apply(settings, request, cost, answer),
            None => Self::Wait(Waiting {
                settings: settings.clone(),
                kind: WaitingFor::Answer {
                    question,
                    cost,
                    request: Some(request),
                },
            }),
        }
    }

    /// Tells the handler what the limits have said, or makes the response of a denial.
    fn apply(settings: &Arc<Settings>, mut request: Parts, cost: u64, answer: Answer) -> Self {
        match answer {
            Answer::Decided(permit) if permit.is_admitted() => {
                let (decision, places) = permit.into_parts();
                decision.clone().put_into(&mut request.extensions);
                let admitted = Admitted {
                    settings: settings.clone(),
                    decision,
                    places,
                    cost,
                };
                Self::Call(request, Some(admitted))
            }
            Answer::Decided(permit) => Self::denied(settings, request, permit.into_decision()),
            Answer::Unlimited => Self::Call(request, None),
            Answer::Unavailable(_) => {
                Self::deny(settings, request, DenialReason::StoreUnavailable, None)
            }
        }
    }

    fn denied(settings: &Settings, request: Parts, decision: RateLimitDecision) -> Self {
        let reason = match decision.is_banned() {
            true => DenialReason::Banned,
            false => DenialReason::QuotaExceeded,
        };
        Self::deny(settings, request, reason, Some(decision))
    }

    fn deny(
        settings: &Settings,
        mut request: Parts,
        reason: DenialReason,
        decision: Option<RateLimitDecision>,
    ) -> Self {
        if !settings.shadow {
            return Self::Refuse(settings.deny(reason, decision.as_ref(), &request));
        }
        settings.log_shadow_denial(reason, decision.as_ref());
        if let Some(decision) = decision {
            decision.put_into(&mut request.extensions);
        }
        Self::Call(request, None)
    }
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let settings = &self.settings;
        Poll::Ready(match &mut self.kind {
            WaitingFor::Preparation(preparation) => {
                let (request, prepared) = ready!(preparation.as_mut().poll(cx));
                Step::ask(settings, request, prepared)
            }
            WaitingFor::Answer {
                question,
                cost,
                request,
            } => {
                let answer = ready!(Pin::new(question).poll(cx));
                let request = request
                    .take()
                    .expect("the state is left when the question is answered");
                Step::apply(settings, request, *cost, answer)
            }
        })
    }
}

impl Admitted {
    /// Tells the response what the limits have said, and settles what it costs.
    fn complete<B>(self, mut response: Response<B>) -> Response<ResponseBody<B>> {
        let Self {
            settings,
            decision,
            places,
            cost,
        } = self;
        settings.write_fields(response.headers_mut(), &decision);
        let (mut parts, body) = response.into_parts();
        if let Some(settle) = &settings.settle
            && decision.is_reserved()
        {
            settle_later(decision.clone(), settle(&parts, cost), cost);
        }
        decision.put_into(&mut parts.extensions);
        let body = match places {
            Some(places) => ResponseBody::holding(body, Box::new(places)),
            None => ResponseBody::inner(body),
        };
        Response::from_parts(parts, body)
    }
}

/// Settles without keeping the response waiting.
fn settle_later(decision: RateLimitDecision, actual: u64, charged: u64) {
    if actual == charged {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            if let Err(error) = decision.settle(actual).await {
                tracing::debug!(target: "tower_keep::rate_limit", %error, "a cost was not settled");
            }
        });
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn waiting(waiting: Waiting, inner: S, body: B) -> Self {
        let call = Some((inner, body));
        Self {
            state: State::Waiting { waiting, call },
        }
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
                StateProjection::Waiting { waiting, call } => match ready!(waiting.poll(cx)) {
                    Step::Wait(next) => {
                        *waiting = next;
                        continue;
                    }
                    Step::Call(parts, admitted) => {
                        let (mut inner, body) = call
                            .take()
                            .expect("the state is left when nothing is waited for");
                        let future = inner.call(Request::from_parts(parts, body));
                        State::Calling { future, admitted }
                    }
                    Step::Refuse(response) => {
                        let response = Some(response);
                        State::Refused { response }
                    }
                },
                StateProjection::Calling { future, admitted } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(match admitted.take() {
                        Some(admitted) => admitted.complete(response),
                        None => response.map(ResponseBody::inner),
                    }));
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

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
