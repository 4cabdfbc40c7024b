//! What is done with a request: the limits are asked, and it is let through or refused.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::{runtime::Handle, time::Instant};

use super::{
    denial::DenialReason,
    limiter::{
        Answer, Asked, HeldPlaces, JointAsk, JointQuestion, Part, Permit, Question,
        RateLimitDecision,
    },
    preparation::{Preparation, Prepared},
    settings::Settings,
};
use crate::{body::ResponseBody, store::operations::limit::PerLimit};

/// What the response to an admitted request is to tell, and what is held until it has ended.
pub(super) struct Admitted {
    charged: Charged,
    places: Vec<HeldPlaces>,
}

/// What a request was charged whose response has not come. Dropped before that, because the client
/// has left or the handler has panicked or failed, it settles what such a request costs.
struct Charged {
    settings: Arc<Settings>,
    decision: RateLimitDecision,
    cost: u64,
    has_response: bool,
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
        question: Asking,
        cost: u64,
        // Taken when the question is answered.
        request: Option<Parts>,
    },
}

#[allow(
    clippy::large_enum_variant,
    reason = "a request moves it once or twice; a box would be an allocation each"
)]
enum Asking {
    One(Question),
    Several(JointQuestion),
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
        let (parts, cost) = match prepared {
            Prepared::Limited { parts, cost } => (parts, cost),
            Prepared::Unlimited => return Self::Call(request, None),
            Prepared::Refused => {
                return Self::deny(settings, request, DenialReason::MissingKey, None);
            }
            Prepared::Unavailable => {
                return Self::deny(settings, request, DenialReason::StoreUnavailable, None);
            }
        };
        let mut question = match Asking::first(parts, cost, settings.reserves) {
            Ok(permit) => return Self::apply(settings, request, cost, Answer::Decided(permit)),
            Err(question) => question,
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
    fn apply(settings: &Arc<Settings>, request: Parts, cost: u64, answer: Answer) -> Self {
        match answer {
            Answer::Decided(permit) if permit.is_admitted() => {
                let (decision, places) = permit.into_parts();
                Self::let_through(settings, request, cost, decision, places)
            }
            Answer::Decided(permit) => Self::denied(settings, request, permit.into_decision()),
            Answer::Unlimited => Self::Call(request, None),
            Answer::Unavailable(_) => {
                Self::deny(settings, request, DenialReason::StoreUnavailable, None)
            }
        }
    }

    fn let_through(
        settings: &Arc<Settings>,
        mut request: Parts,
        cost: u64,
        decision: RateLimitDecision,
        places: Vec<HeldPlaces>,
    ) -> Self {
        decision.clone().put_into(&mut request.extensions);
        let charged = Charged {
            settings: settings.clone(),
            decision,
            cost,
            has_response: false,
        };
        Self::Call(request, Some(Admitted { charged, places }))
    }

    fn denied(settings: &Arc<Settings>, request: Parts, decision: RateLimitDecision) -> Self {
        let reason = match decision.is_banned() {
            true => DenialReason::Banned,
            false => DenialReason::QuotaExceeded,
        };
        Self::deny(settings, request, reason, Some(decision))
    }

    fn deny(
        settings: &Arc<Settings>,
        request: Parts,
        reason: DenialReason,
        decision: Option<RateLimitDecision>,
    ) -> Self {
        if !settings.shadow {
            return Self::Refuse(settings.deny(reason, decision.as_ref(), &request));
        }
        settings.log_shadow_denial(reason, decision.as_ref());
        match decision {
            Some(decision) => Self::let_through(settings, request, 0, decision, Vec::new()),
            None => Self::Call(request, None),
        }
    }
}

impl Asking {
    /// What is known without the store, or the question to it.
    #[allow(
        clippy::result_large_err,
        reason = "a request moves it once or twice; a box would be an allocation each"
    )]
    fn first(mut parts: PerLimit<Part>, cost: u64, reserves: bool) -> Result<Permit, Self> {
        let part = match parts.len() {
            1 => parts.pop(),
            _ => None,
        };
        let Some(part) = part else {
            let ask = JointAsk {
                parts: parts.into_iter().collect(),
                cost,
                reserves,
            };
            return Err(Self::Several(ask.question()));
        };
        match part.ask(cost, reserves, Instant::now()) {
            Asked::Known(permit) => Ok(permit),
            Asked::Question(question) => Err(Self::One(question)),
        }
    }

    /// The answer, if the store has it without being waited for.
    fn answer_at_once(&mut self) -> Option<Answer> {
        match self {
            Self::One(question) => question.answer_at_once(),
            Self::Several(question) => {
                let mut cx = Context::from_waker(Waker::noop());
                match question.as_mut().poll(&mut cx) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => None,
                }
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        match self {
            Self::One(question) => Pin::new(question).poll(cx),
            Self::Several(question) => question.as_mut().poll(cx),
        }
    }
}

impl Waiting {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
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
                let answer = ready!(question.poll(cx));
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
    pub(super) fn complete<B>(self, mut response: Response<B>) -> Response<ResponseBody<B>> {
        let Self {
            mut charged,
            places,
        } = self;
        charged.has_response = true;
        let (settings, decision) = (&charged.settings, &charged.decision);
        settings.write_fields(response.headers_mut(), decision);
        let (mut parts, body) = response.into_parts();
        if let Some(settle) = &settings.settle
            && decision.is_reserved()
        {
            settle_later(decision, settle(&parts, charged.cost), charged.cost);
        }
        decision.clone().put_into(&mut parts.extensions);
        let body = match places.is_empty() {
            true => ResponseBody::inner(body),
            false => ResponseBody::holding(body, Box::new(places)),
        };
        Response::from_parts(parts, body)
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        if let Some(abandoned) = &self.settings.abandoned
            && !self.has_response
            && self.decision.is_reserved()
        {
            settle_later(&self.decision, abandoned(self.cost), self.cost);
        }
    }
}

/// Settles without keeping anybody waiting.
fn settle_later(decision: &RateLimitDecision, actual: u64, charged: u64) {
    if actual == charged {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        let decision = decision.clone();
        runtime.spawn(async move {
            if let Err(error) = decision.settle(actual).await {
                tracing::debug!(target: "tower_keep::rate_limit", %error, "a cost was not settled");
            }
        });
    }
}
