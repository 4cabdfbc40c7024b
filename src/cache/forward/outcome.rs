//! What an answer of the inner service means for the client and for what is stored.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use tokio::time::Instant;

use super::times::Times;
use crate::cache::{
    body::CacheBody,
    cache_status::CacheStatus,
    client_request::ClientRequest,
    clock::now,
    fill::{Bounds, Lead, Storing},
    lookup::{Found, variant},
    policy::{Failure, Forward, not_modified},
    state::State,
};

/// The response to a forwarded request, and what is left to do.
pub(crate) struct Outcome<B> {
    /// The response to the client.
    pub(crate) response: Response<CacheBody<B>>,
    /// What to do once the client has it: receive a body, store, or invalidate.
    pub(crate) rest: Option<Rest>,
}

pub(crate) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<B> Outcome<B> {
    /// With nothing left to do.
    pub(super) fn of(response: Response<CacheBody<B>>) -> Self {
        Self {
            response,
            rest: None,
        }
    }
}

/// A request that went forward, and what an answer to it means.
#[derive(Debug)]
pub(crate) struct Forwarded {
    pub(crate) state: Arc<State>,
    pub(crate) client: ClientRequest,
    pub(crate) forward: Forward,
    /// Held as long as others may wait for the answer, and until the store has it.
    pub(crate) lead: Arc<Lead>,
    /// Whether a response was found that no longer answers this request.
    pub(crate) replaces: bool,
    /// For `Cache-Status`: why a response that may be stored is not, if it was not announced.
    pub(crate) unstored: &'static str,
}

impl Forwarded {
    /// Notes that the call takes longer than an announcement lasts and than others may wait.
    pub(crate) fn lapse(&mut self) {
        self.unstored = "lease-expired";
        self.lead.lapse();
    }

    pub(super) fn status(&self, forward_status: Option<StatusCode>) -> CacheStatus {
        CacheStatus {
            forward_status,
            ..CacheStatus::forward(self.forward)
        }
    }

    /// The stale response in place of a failure, where the directives allow it (RFC 5861 §4,
    /// RFC 9111 §4.2.4).
    pub(crate) fn stale_on<B>(
        &self,
        failure: Failure,
        forward_status: Option<StatusCode>,
        found: &Found,
    ) -> Option<Outcome<B>> {
        let policy = &self.state.options.policy;
        let time = now();
        policy
            .stale_on(failure, &self.client.head(), &found.head, time)
            .then(|| {
                let status = CacheStatus {
                    ttl: Some(found.head.ttl(time)),
                    ..self.status(forward_status).with_detail("stale-if-error")
                };
                Outcome::of(self.state.answer(&self.client, found, &status))
            })
    }

    /// Shares a complete response and stores it. With `None` the stored body is kept.
    pub(super) fn store(
        &self,
        found: Found,
        body: Option<Bytes>,
        storing: Storing,
    ) -> impl Future<Output = ()> + use<> {
        let lead = self.lead.clone();
        lead.publish(&variant::name(&found.head));
        lead.fill().complete(&found);
        async move {
            match body {
                Some(body) => storing.complete(&found.head, body).await,
                None => storing.freshen(&found.head).await,
            }
            drop(lead);
        }
    }

    pub(super) fn bounds(&self, times: Times, limit: u64) -> Bounds {
        let options = &self.state.options;
        let passed = Duration::from_millis(times.answered.saturating_sub(times.asked));
        Bounds {
            limit,
            memory: self.state.memory_of_fills(),
            lapse: Instant::now() + options.fill_lease.saturating_sub(passed),
            idle: options.body_idle,
        }
    }

    /// Takes what is stored out of the store, and the announcement of `storing` with it.
    pub(super) fn invalidate(&self, storing: Storing) -> impl Future<Output = ()> + use<> {
        let (state, primary) = (self.state.clone(), self.client.primary.clone());
        async move {
            storing.forget();
            state.invalidate([primary]).await;
        }
    }

    /// The answer to a validation or a completion is about something else than what is stored, and
    /// there is no request body for a second call. What is stored is invalidated, so that the next
    /// request gets an answer.
    pub(crate) async fn contradicted<B>(&self) -> Outcome<B> {
        self.lead.refuse();
        self.state.invalidate([self.client.primary.clone()]).await;
        let detail = "the response does not fit the stored one that it is about";
        let status = self.status(None).with_detail("contradicted");
        let problem = self.state.problem(StatusCode::BAD_GATEWAY, detail, &status);
        Outcome::of(problem)
    }

    /// The response as it came: it is not shared and not stored.
    pub(super) fn passed<B>(
        &self,
        response: Response<B>,
        detail: Option<&'static str>,
    ) -> Outcome<B> {
        self.lead.refuse();
        let status = CacheStatus {
            detail,
            ..self.status(Some(response.status()))
        };
        let mut response = response.map(CacheBody::inner);
        self.apply_condition(&mut response, now());
        status.append_to(response.headers_mut(), &self.state.options.name);
        Outcome::of(response)
    }

    /// Applies the client's own condition, which the inner service may not have seen.
    pub(super) fn apply_condition<B>(&self, response: &mut Response<CacheBody<B>>, received: u64) {
        if response.status() == StatusCode::OK
            && not_modified(&self.client.head(), response.headers(), received)
        {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = CacheBody::stored(Bytes::new());
        }
    }
}
