//! What an answer of the inner service means for the client and for what is stored.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::Body;

use super::{
    body::{BoxError, CacheBody},
    cache_status::CacheStatus,
    fill::Fill,
    in_flight::Lead,
    lookup::Found,
    options::SetCookie,
    policy::{Failure, Forward, Freshened, HeadEffect, ResponseHead, StoredHead, not_modified},
    pump::{Pump, assemble, collect},
    serve::now,
    state::{Client, State},
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
    pub(super) lead: Option<Lead>,
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
                (self.state.answer(&self.client, found, status), None)
            })
    }

    /// A 304 to a validation (RFC 9111 §4.3.4). `None`: it is about another representation.
    pub(super) fn freshen<B>(
        &mut self,
        found: Found,
        response: &Response<B>,
        times: Times,
        storing: Storing,
    ) -> Option<Outcome<B>> {
        let policy = &self.state.options.policy;
        let head = times.head(response.status(), response.headers());
        let (head, storable) = match policy.freshen(&self.client.view(), &found.head, &head, |_| {})
        {
            Freshened::Updated(head) => (head, true),
            Freshened::Once(head, _) => (head, false),
            Freshened::NotSelected => {
                storing.abandon();
                return None;
            }
        };
        let found = Found {
            head: Arc::new(head),
            body: found.body,
        };
        let status = CacheStatus {
            stored: storable,
            ..self.status(Some(response.status()))
        };
        let answer = self.state.answer(&self.client, &found, status);
        let lead = self.lead.take();
        if let Some(lead) = lead.as_ref().filter(|_| storable) {
            lead.fill().complete(found.head.clone(), found.body);
        }
        let rest = async move {
            if storable {
                storing.put(&found.head, None).await;
            } else {
                storing.invalidate().await;
            }
            drop(lead);
        };
        Some((answer, Some(Box::pin(rest))))
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
            policy.head_effect(&self.client.view(), &found.head, length, &head, |_| {})
        };
        match effect {
            HeadEffect::Keep => storing.abandon(),
            HeadEffect::Update(head) => storing.put(&head, None).await,
            HeadEffect::Invalidate => storing.invalidate().await,
        }
        self.passed(response, None)
    }

    /// A 206 that completes the stored part (RFC 9111 §3.4). `None`: the two do not fit.
    pub(super) async fn combine<B>(
        &mut self,
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
            let combined =
                policy.combine(&self.client.view(), &found.head, stored, &head, new, |_| {})?;
            let body = assemble(&combined.body, &found.body, &rest);
            Some(Found {
                head: Arc::new(combined.head),
                body,
            })
        });
        let Some(found) = combined else {
            storing.abandon();
            return None;
        };
        let status = CacheStatus {
            stored: true,
            ..self.status(Some(parts.status))
        };
        let answer = self.state.answer(&self.client, &found, status);
        let lead = self.lead.take();
        if let Some(lead) = &lead {
            lead.fill().complete(found.head.clone(), found.body.clone());
        }
        let rest = async move {
            storing.put(&found.head, Some(found.body)).await;
            drop(lead);
        };
        Some((answer, Some(Box::pin(rest))))
    }

    /// Any other response: stored while it is passed on, or only passed on.
    pub(super) async fn receive<B>(
        &mut self,
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
            Err(reason) => {
                storing.abandon();
                self.lead = None;
                return self.passed(response, Some(reason));
            }
        };
        let Ok(storing) = storing.ready().await else {
            self.lead = None;
            return self.passed(response, Some("store-unavailable"));
        };
        storing.learn_vary(&head);
        let lead = self.lead.take();
        let fill = match &lead {
            Some(lead) => {
                lead.rename(&State::variant_of(&head));
                lead.fill().clone()
            }
            None => Fill::new(false),
        };
        let length = declared_length(&response);
        fill.answered(head.clone(), length);

        let (parts, body) = response.into_parts();
        let client_body = CacheBody::arriving(fill.clone(), length, true);
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
            fill,
            lead,
            storing,
            head,
            length,
            limit,
        };
        (response, Some(Box::pin(pump.run())))
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
    fn head(self, status: StatusCode, headers: &http::HeaderMap) -> ResponseHead<'_> {
        ResponseHead {
            status,
            headers,
            request_time: self.asked,
            response_time: self.answered,
        }
    }
}

impl State {
    /// The stored form of a response, by the policy and by this layer's own rules.
    fn storable<B: Body>(
        &self,
        client: &Client,
        response: &Response<B>,
        times: Times,
    ) -> Result<StoredHead, &'static str> {
        let head = times.head(response.status(), response.headers());
        let stored = self.options.policy.storable(&client.view(), &head, |_| {});
        let mut stored = stored.map_err(|reason| reason.as_str())?;
        let least = declared_length(response).unwrap_or(response.body().size_hint().lower());
        if least > self.options.max_body {
            return Err("too-long");
        }
        let headers = stored.headers_mut();
        if headers.contains_key(header::SET_COOKIE) {
            match self.options.set_cookie {
                SetCookie::Refuse => return Err("set-cookie"),
                SetCookie::Strip => drop(headers.remove(header::SET_COOKIE)),
                SetCookie::Store => {}
            }
        }
        for name in &self.options.not_replayed {
            headers.remove(name);
        }
        Ok(stored)
    }
}

/// The body's length as the body or the head declares it.
fn declared_length<B: Body>(response: &Response<B>) -> Option<u64> {
    let field = || {
        response
            .headers()
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    };
    response.body().size_hint().exact().or_else(field)
}
