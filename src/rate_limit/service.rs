//! The service: asks the limits before it calls the inner service.

use std::{
    mem,
    sync::{Arc, Once},
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    config::Config,
    denial::DenialReason,
    future::{Next, Question, ResponseFuture},
    key::MissingKey,
    limiter::decision::RateLimitDecision,
    limiter::local_denials::Known,
};
use crate::body::ResponseBody;

/// A service whose requests are limited. Made by [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RateLimit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let config = &self.config;
        let (mut parts, body) = request.into_parts();
        if config.skips(&parts) {
            return ResponseFuture::unlimited(self.inner.call(Request::from_parts(parts, body)));
        }
        let (subject, complete) = config.key.subject(&config.subject_key, &parts);
        if !complete {
            warn_once(config);
            match config.missing_key {
                MissingKey::Shared => {}
                MissingKey::Deny => {
                    return ResponseFuture::refused(config.deny(
                        DenialReason::MissingKey,
                        None,
                        &parts,
                    ));
                }
                MissingKey::Skip => {
                    return ResponseFuture::unlimited(
                        self.inner.call(Request::from_parts(parts, body)),
                    );
                }
            }
        }
        let cost = config.cost(&parts);
        let now = Instant::now();
        let known = config.local_denials.get(subject, cost, &config.limits, now);
        let recheck = match known {
            Known::Nothing => false,
            Known::Recheck => true,
            Known::Denied(outcomes) => {
                let decision = RateLimitDecision::new(&config.policies, &outcomes, false);
                return ResponseFuture::refused(config.deny(
                    DenialReason::QuotaExceeded,
                    Some(&decision),
                    &parts,
                ));
            }
        };
        let mut question = Question::new(config.clone(), subject, cost, now, recheck);
        // Where nothing is waited for, the service that was made ready is called at once.
        if let Some(answer) = question.answer_at_once() {
            return match answer.apply(config, &mut parts) {
                Next::Call(admitted) => {
                    let future = self.inner.call(Request::from_parts(parts, body));
                    ResponseFuture::calling(future, admitted)
                }
                Next::Refuse(response) => ResponseFuture::refused(response),
            };
        }
        // The clone has not been made ready; the one that has goes with the request.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::asking(question, inner, Request::from_parts(parts, body))
    }
}

/// A server that does not tell peers apart would make one budget of all of them unnoticed.
#[cold]
fn warn_once(config: &Config) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            target: "tower_keep::rate_limit",
            key = ?config.key,
            then = ?config.missing_key,
            "a request lacks what its limit is counted by; said once"
        );
    });
}
