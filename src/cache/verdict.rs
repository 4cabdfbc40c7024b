//! What an answer of the inner service means for the client and for what is stored.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;

use super::{
    body::{BoxError, CacheBody},
    cache_status::CacheStatus,
    fill::Answered,
    in_flight::Lead,
    lookup::Found,
    policy::{
        Failure, Forward, Freshened, HeadEffect, NotStorable, ResponseHead, StoredHead,
        is_about_target, not_modified,
    },
    pump::{Bounds, Pump, assemble, collect},
    refusal::{Refusal, declared_length},
    state::{Client, State, now},
    storing::Storing,
};

/// The client's response, and what is left to do once it has it.
pub(super) type Outcome<B> = (Response<CacheBody<B>>, Option<Rest>);
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When the inner service was asked and when its head came, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) asked: u64,
    pub(super) answered: u64,
}

/// Judges the answers to one request.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) state: Arc<State>,
    pub(super) client: Client,
    pub(super) forward: Forward,
    /// Held while others wait for the answer, and until the store has it.
    pub(super) lead: Arc<Lead>,
    /// Whether a response was found that no longer answers this request.
    pub(super) replaces: bool,
    /// Why a response that may be stored is not, when it is not announced.
    pub(super) unstored: &'static str,
}

impl Verdict {
    /// The call takes longer than an announcement stands, or others may have to wait.
    pub(super) fn lapse(&mut self) {
        self.unstored = "lease-expired";
        self.lead.lapse();
    }

    fn status(&self, forward_status: Option<StatusCode>) -> CacheStatus {
        CacheStatus {
            forward_status,
            ..CacheStatus::forward(self.forward)
        }
    }

    /// The stale response in place of a failure, where the directives allow it (RFC 5861 §4,
    /// RFC 9111 §4.2.4).
    pub(super) fn stale_on<B>(
        &self,
        failure: Failure,
        forward_status: Option<StatusCode>,
        found: &Found,
    ) -> Option<Outcome<B>> {
        let policy = &self.state.options.policy;
        let time = now();
        policy
            .stale_on(failure, &self.client.view(), &found.head, time)
            .then(|| {
                let status = CacheStatus {
                    ttl: Some(found.head.ttl(time)),
                    ..self.status(forward_status).with_detail("stale-if-error")
                };
                (self.state.answer(&self.client, found, &status), None)
            })
    }

    /// A 304 to a validation (RFC 9111 §4.3.4). `None`: it is about another representation.
    pub(super) fn freshen<B>(
        &self,
        found: Found,
        response: &Response<B>,
        times: Times,
        storing: Storing,
    ) -> Option<Outcome<B>> {
        let policy = &self.state.options.policy;
        let head = times.head(response.status(), response.headers());
        let adjust = self.client.terms();
        let freshened = policy.freshen(&self.client.view(), &found.head, &head, adjust);
        let (head, own, refused) = match freshened {
            Freshened::Updated(head, own) => (head, own, None),
            Freshened::Once(head, own, reason) => (head, own, Some(reason)),
            Freshened::NotSelected => return None,
        };
        let found = Found {
            head: Arc::new(head),
            ..found
        };
        let status = CacheStatus {
            stored: refused.is_none() && storing.is_announced(),
            detail: refused.map(NotStorable::as_str),
            ..self.status(Some(response.status()))
        };
        let mut answer = self.state.answer(&self.client, &found, &status);
        own.add_to(answer.headers_mut());
        let rest: Option<Rest> = match refused {
            None => Some(Box::pin(self.store(found, None, storing))),
            Some(reason) => {
                self.lead.refuse();
                let invalidate = || -> Rest { Box::pin(storing.invalidate()) };
                (!reason.is_about_request()).then(invalidate)
            }
        };
        Some((answer, rest))
    }

    /// What a forwarded HEAD says about the stored GET response (RFC 9111 §4.3.5).
    pub(super) async fn head<B: Body>(
        &self,
        found: &Found,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Outcome<B> {
        let effect = {
            let head = times.head(response.status(), response.headers());
            let length = found.body.len() as u64;
            let policy = &self.state.options.policy;
            let adjust = self.client.terms();
            policy.head_effect(&self.client.view(), &found.head, length, &head, adjust)
        };
        match effect {
            HeadEffect::Keep => {}
            HeadEffect::Update(head) => storing.freshen(&head).await,
            HeadEffect::Invalidate => storing.invalidate().await,
        }
        self.passed(response, None)
    }

    /// A 206 that completes the stored part (RFC 9111 §3.4). `None`: the two do not fit.
    pub(super) async fn combine<B>(
        &self,
        found: Found,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Option<Outcome<B>>
    where
        B: Body<Data = Bytes>,
    {
        let (parts, body) = response.into_parts();
        let bounds = self.bounds(times, self.state.options.max_body);
        let rest = collect(body, self.lead.fill(), bounds).await;
        let combined = rest.and_then(|rest| {
            let head = times.head(parts.status, &parts.headers);
            let (stored, new) = (found.body.len() as u64, rest.len() as u64);
            let policy = &self.state.options.policy;
            let (request, adjust) = (self.client.view(), self.client.terms());
            let combined = policy.combine(&request, &found.head, stored, &head, new, adjust)?;
            let body = assemble(&combined.body, &found.body, &rest);
            let found = Found {
                head: Arc::new(combined.head),
                body,
                version: None,
            };
            Some((found, combined.own))
        });
        let (found, own) = combined?;
        let status = CacheStatus {
            stored: true,
            ..self.status(Some(parts.status))
        };
        let mut answer = self.state.answer(&self.client, &found, &status);
        own.add_to(answer.headers_mut());
        let body = found.body.clone();
        Some((
            answer,
            Some(Box::pin(self.store(found, Some(body), storing))),
        ))
    }

    /// Shares a response that is there as a whole and stores it: `None` keeps the stored body.
    fn store(
        &self,
        found: Found,
        body: Option<Bytes>,
        storing: Storing,
    ) -> impl Future<Output = ()> + use<> {
        let lead = self.lead.clone();
        lead.publish(&State::variant_of(&found.head));
        lead.fill().complete(&found);
        async move {
            match body {
                Some(body) => storing.complete(&found.head, body).await,
                None => storing.freshen(&found.head).await,
            }
            drop(lead);
        }
    }

    /// Any other response: stored while it is passed on, or only passed on.
    pub(super) fn receive<B>(
        &self,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let head = match self.state.storable(&self.client, &response, times) {
            Ok(head) => Arc::new(head),
            Err(refusal) => return self.refused(response, refusal, times, storing),
        };
        if self.forward == Forward::Request && !is_about_target(response.status()) {
            // It is an answer to the directives and fields of this request; what is stored is
            // fresh and stays.
            return self.passed(response, Some("about-request"));
        }
        let status = self.status(Some(response.status()));
        let is_announced = storing.is_announced();
        if !is_announced && !self.lead.is_joinable() {
            return self.passed(response, Some(self.unstored));
        }
        let status = CacheStatus {
            stored: is_announced,
            detail: (!is_announced).then_some(self.unstored),
            ..status
        };
        storing.learn_vary(&head);
        self.state.uncacheable.forget(&self.client.primary);
        self.lead.publish(&State::variant_of(&head));
        let storing = is_announced.then_some(storing);
        self.share(response, head, None, times, status, storing)
    }

    /// Shares a response while it arrives; with `storing` it is stored.
    fn share<B>(
        &self,
        response: Response<B>,
        head: Arc<StoredHead>,
        failure: Option<StatusCode>,
        times: Times,
        status: CacheStatus,
        storing: Option<Storing>,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (lead, length) = (self.lead.clone(), declared_length(&response));
        let reader = lead.fill().leader(length);
        lead.fill().answered(Answered {
            head: head.clone(),
            length,
            failure,
        });
        let (parts, body) = response.into_parts();
        let mut response = Response::from_parts(parts, CacheBody::arriving(reader));
        self.apply_condition(&mut response, times.answered);
        status.append_to(response.headers_mut(), &self.state.options.name);
        let bounds = self.bounds(times, self.state.largest_body(&head));
        let pump = Pump {
            body,
            lead,
            storing,
            head,
            length,
            bounds,
        };
        (response, Some(Box::pin(pump.run())))
    }

    fn bounds(&self, times: Times, limit: u64) -> Bounds {
        let options = &self.state.options;
        let passed = Duration::from_millis(times.answered.saturating_sub(times.asked));
        Bounds {
            limit,
            memory: self.state.memory_of_fills(),
            lapse: Instant::now() + options.fill_lease.saturating_sub(passed),
            idle: options.body_idle,
        }
    }

    /// A response that is not stored. What it supersedes goes, and those who wait for it do
    /// not wait for that. A failure is shared by those who waited for it.
    fn refused<B>(
        &self,
        response: Response<B>,
        refusal: Refusal,
        times: Times,
        storing: Storing,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let failed = response.status().is_server_error() && self.lead.is_joinable();
        if failed && let Some(head) = self.state.failure(&self.client, &response, times) {
            self.lead.close();
            let status = self
                .status(Some(response.status()))
                .with_detail(refusal.detail);
            let failure = Some(response.status());
            return self.share(response, Arc::new(head), failure, times, status, None);
        }
        if refusal.is_lasting && self.client.is_shareable() {
            self.state.uncacheable.remember(&self.client.primary);
        }
        let (response, _) = self.passed(response, Some(refusal.detail));
        if refusal.supersedes && self.replaces {
            return (response, Some(Box::pin(storing.invalidate())));
        }
        (response, None)
    }

    /// The answer to a validation or a completion is about something else than what is stored,
    /// and there is no body for another request. What is stored goes, so that the next one is
    /// answered.
    pub(super) async fn contradicted<B>(&self) -> Outcome<B> {
        self.lead.refuse();
        Storing::nothing(&self.state, &self.client)
            .invalidate()
            .await;
        let detail = "the response does not fit the stored one that it is about";
        let status = self.status(None).with_detail("contradicted");
        let problem = self.state.problem(StatusCode::BAD_GATEWAY, detail, &status);
        (problem, None)
    }

    /// The response as it came.
    fn passed<B>(&self, response: Response<B>, detail: Option<&'static str>) -> Outcome<B> {
        self.lead.refuse();
        let status = CacheStatus {
            detail,
            ..self.status(Some(response.status()))
        };
        let mut response = response.map(CacheBody::inner);
        self.apply_condition(&mut response, now());
        status.append_to(response.headers_mut(), &self.state.options.name);
        (response, None)
    }

    /// The client's own condition, which was kept from the inner service.
    fn apply_condition<B>(&self, response: &mut Response<CacheBody<B>>, received: u64) {
        if response.status() == StatusCode::OK
            && not_modified(&self.client.view(), response.headers(), received)
        {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = CacheBody::stored(Bytes::new());
        }
    }
}

impl Times {
    pub(super) fn head(self, status: StatusCode, headers: &http::HeaderMap) -> ResponseHead<'_> {
        ResponseHead {
            status,
            headers,
            request_time: self.asked,
            response_time: self.answered,
        }
    }
}
