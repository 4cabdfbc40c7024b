//! What an answer of the inner service means for the client and for what is stored.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::Body;

use super::{
    body::{BoxError, CacheBody},
    cache_status::CacheStatus,
    in_flight::Lead,
    lookup::Found,
    policy::{
        Failure, Forward, Freshened, HeadEffect, NotStorable, ResponseHead, is_about_target,
        not_modified,
    },
    pump::{Pump, assemble, collect},
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
}

impl Verdict {
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
            stored: refused.is_none(),
            detail: refused.map(NotStorable::as_str),
            ..self.status(Some(response.status()))
        };
        let mut answer = self.state.answer(&self.client, &found, &status);
        own.add_to(answer.headers_mut());
        let rest: Option<Rest> = match refused {
            None => Some(Box::pin(self.store(found, None, storing))),
            Some(reason) if reason.is_about_request() => None,
            Some(_) => Some(Box::pin(storing.invalidate())),
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
        let rest = collect(body, self.state.options.max_body).await;
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
        lead.fill().complete(found.head.clone(), found.body);
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
            Err(refusal) => return self.refused(response, refusal, storing),
        };
        if self.forward == Forward::Request && !is_about_target(response.status()) {
            // It is an answer to the directives and fields of this request; what is stored is
            // fresh and stays.
            return self.passed(response, Some("about-request"));
        }
        if !storing.is_announced() {
            return self.passed(response, Some("store-unavailable"));
        }
        storing.learn_vary(&head);
        self.state.uncacheable.forget(&self.client.primary);
        let lead = self.lead.clone();
        let length = declared_length(&response);
        lead.publish(&State::variant_of(&head));
        lead.fill().answered(head.clone(), length);

        let (parts, body) = response.into_parts();
        let client_body = CacheBody::arriving(lead.fill().clone(), length, true);
        let mut response = Response::from_parts(parts, client_body);
        self.apply_condition(&mut response, times.answered);
        let status = CacheStatus {
            stored: true,
            ..self.status(Some(response.status()))
        };
        status.append_to(response.headers_mut(), &self.state.options.name);
        let limit = self.state.options.max_body;
        let pump = Pump {
            body,
            lead,
            storing,
            head,
            length,
            limit,
        };
        (response, Some(Box::pin(pump.run())))
    }

    /// A response that is not stored. What it supersedes goes, and those who wait for it do
    /// not wait for that.
    fn refused<B: Body>(
        &self,
        response: Response<B>,
        refusal: Refusal,
        storing: Storing,
    ) -> Outcome<B> {
        if refusal.is_lasting && self.client.is_shareable() {
            self.state.uncacheable.remember(&self.client.primary);
        }
        let (response, _) = self.passed(response, Some(refusal.detail));
        if refusal.supersedes && self.replaces {
            return (response, Some(Box::pin(storing.invalidate())));
        }
        (response, None)
    }

    /// The response as it came.
    fn passed<B>(&self, response: Response<B>, detail: Option<&'static str>) -> Outcome<B> {
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
