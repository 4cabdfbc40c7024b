//! The responses to requests that are not let through.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
    request::Parts,
};
use serde::Serialize;

#[cfg(feature = "tonic")]
use super::grpc;
use super::limiter::{RateLimitDecision, ceil_seconds};
use crate::problem::{Plain, Problem};

/// A request that is not let through, for a
/// [response factory](super::RateLimitLayer::with_response).
#[derive(Debug)]
pub struct Denial<'a> {
    reason: DenialReason,
    decision: Option<&'a RateLimitDecision>,
    request: &'a Parts,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenialReason {
    /// A policy has not enough left. By default 429.
    QuotaExceeded,
    /// The client is banned for having been denied too often; see
    /// [`BanPolicy`](super::BanPolicy). By default 429.
    Banned,
    /// The store did not answer and [`RateLimitOnStoreError::Deny`](super::RateLimitOnStoreError::Deny) is set.
    /// By default 503.
    StoreUnavailable,
    /// The key could not be taken from the request and
    /// [`MissingKey::Deny`](super::MissingKey::Deny) is set. By default 400.
    MissingKey,
}

/// When to come again after a store failure: by then the circuit breaker has probed the store.
const STORE_RETRY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Violated<'a> {
    #[serde(rename = "violated-policies")]
    policies: Vec<&'a str>,
}

impl<'a> Denial<'a> {
    pub(super) fn new(
        reason: DenialReason,
        decision: Option<&'a RateLimitDecision>,
        request: &'a Parts,
    ) -> Self {
        Self {
            reason,
            decision,
            request,
        }
    }

    /// Why.
    pub fn reason(&self) -> DenialReason {
        self.reason
    }

    /// What each policy said, if the request got so far.
    pub fn decision(&self) -> Option<&RateLimitDecision> {
        self.decision
    }

    /// The request without its body.
    pub fn request(&self) -> &Parts {
        self.request
    }

    /// When the request can be sent again; `None` if that would not help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.reason {
            DenialReason::QuotaExceeded | DenialReason::Banned => {
                self.decision.and_then(RateLimitDecision::retry_after)
            }
            DenialReason::StoreUnavailable => Some(STORE_RETRY),
            DenialReason::MissingKey => None,
        }
    }

    /// What happened, in the words of the draft's problem types.
    fn title(&self) -> &'static str {
        match self.reason {
            DenialReason::QuotaExceeded => {
                "Request cannot be satisfied as assigned quota has been exceeded"
            }
            DenialReason::Banned => "Request cannot be satisfied due to abnormal usage patterns",
            DenialReason::StoreUnavailable => {
                "Request cannot be satisfied due to temporary server capacity constraints"
            }
            DenialReason::MissingKey => "Bad Request",
        }
    }

    /// Problem details (RFC 9457) of the types that the draft registers, or the status that says
    /// the same to a gRPC call, with `Retry-After` in whole seconds, rounded up, and never to be
    /// stored.
    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = match self.reason {
            DenialReason::QuotaExceeded => self.answer(
                StatusCode::TOO_MANY_REQUESTS,
                "https://iana.org/assignments/http-problem-types#quota-exceeded",
            ),
            DenialReason::Banned => self.answer(
                StatusCode::TOO_MANY_REQUESTS,
                "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            ),
            DenialReason::StoreUnavailable => self.answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            ),
            DenialReason::MissingKey => Problem {
                kind: "about:blank",
                title: self.title(),
                detail: Some("The request lacks what its rate limit is counted by."),
                extension: Plain {},
            }
            .answer(StatusCode::BAD_REQUEST, &self.request.headers),
        };
        #[cfg(feature = "tonic")]
        grpc::add_details(
            response.headers_mut(),
            self.title(),
            self.retry_after(),
            &self.violated(),
        );
        if let Some(retry_after) = self.retry_after() {
            let seconds = ceil_seconds(retry_after).max(1);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    fn answer(&self, status: StatusCode, kind: &str) -> Response<Bytes> {
        let problem = Problem {
            kind,
            title: self.title(),
            detail: None,
            extension: Violated {
                policies: self.violated(),
            },
        };
        problem.answer(status, &self.request.headers)
    }

    /// The names of what the request violates: policies, and the ban that is in force.
    fn violated(&self) -> Vec<&'a str> {
        let policies = self.decision.into_iter().flat_map(RateLimitDecision::iter);
        let violated = policies.filter(|policy| policy.is_violated());
        let names = violated.map(|policy| policy.policy().name());
        let ban = self.decision.and_then(RateLimitDecision::ban);
        ban.into_iter().chain(names).collect()
    }
}

/// Whatever a factory made of it: a cache must not answer others with it.
pub(super) fn forbid_storing(response: &mut Response<Bytes>) {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(no_store);
}
