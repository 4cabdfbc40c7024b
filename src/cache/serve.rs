//! The course of a request that a stored response may answer: look up, decide, answer or forward.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    body::{BoxError, CacheBody},
    cache_status::CacheStatus,
    exchange::{Exchange, Mode, Purpose},
    fill::Fill,
    in_flight::{Claim, Lead},
    join::{Follower, Waited},
    lookup::Found,
    policy::{Content, Forward, Reuse},
    pump::slice,
    state::{Client, State, now},
    verdict::Verdict,
};
use crate::{
    problem::{Plain, Problem},
    store::Timestamp,
};

/// A request that a stored response may answer.
pub(super) struct Serve<S, B> {
    pub(super) state: Arc<State>,
    pub(super) inner: S,
    pub(super) client: Client,
    pub(super) body: B,
}

impl<S, ReqBody, ResBody> Serve<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    pub(super) async fn run(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let state = self.state.clone();
        let mut under_way = state.fill_of(&self.client);
        let announced = under_way.as_ref().and_then(|fill| fill.generation());
        let lookup = state.lookup(&self.client).await;
        let (mut found, unstorable) = match lookup {
            Ok((found, generation)) => {
                if announced.is_some() && announced != generation {
                    // Invalidated meanwhile, by whatever process: what is under way is out of date.
                    state.in_flight.forget(&self.client.primary);
                    under_way = None;
                }
                (found, None)
            }
            Err(error) => {
                tracing::debug!(target: "tower_keep::cache", %error, "no lookup");
                (Err(Forward::Miss), Some(error.detail()))
            }
        };
        // What is whole is on its way into the store, and as good as stored.
        let whole = under_way.as_ref().and_then(|fill| fill.found());
        if let Some(whole) = whole {
            let is_older = |stored: &Found| stored.head.recency() > whole.head.recency();
            if !found.as_ref().is_ok_and(is_older) {
                found = Ok(whole);
            }
            under_way = None;
        }
        let policy = &state.options.policy;
        let (mode, forward) = match found {
            Ok(found) => match state.reuse(&self.client, &found, now()) {
                Reuse::Fresh | Reuse::Stale => {
                    return Ok(state.answer_hit(&self.client, &found, now()));
                }
                Reuse::StaleWhileRevalidate => {
                    let response = state.answer_hit(&self.client, &found, now());
                    self.refresh(found);
                    return Ok(response);
                }
                Reuse::Validate(forward) => (Mode::Validate(found), forward),
                Reuse::Complete => (Mode::Complete(found), Forward::Partial),
                Reuse::Forward(forward) => (Mode::Plain, forward),
                Reuse::GatewayTimeout => return Ok(state.gateway_timeout(Forward::Stale)),
            },
            Err(forward) if policy.only_if_cached(&self.client.view()) => {
                return Ok(state.gateway_timeout(forward));
            }
            Err(forward) => (Mode::Plain, forward),
        };
        self.forward(mode, forward, under_way, unstorable).await
    }

    /// Forwards, unless the fill that was `under_way` before the lookup, or another of the same
    /// variant, has what is asked for. `unstorable` says why the store is neither asked nor told.
    async fn forward(
        self,
        mode: Mode,
        forward: Forward,
        under_way: Option<Arc<Fill>>,
        unstorable: Option<&'static str>,
    ) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let state = self.state.clone();
        let policy = &state.options.policy;
        let forbids = policy.forbids_storing(&self.client.view());
        let (lead, purpose) = if forbids || state.is_uncacheable(&self.client) {
            // Nobody else has any use for its answer, as far as one can tell.
            (state.in_flight.begin(&self.client.primary), Purpose::Own)
        } else {
            let follower = Follower {
                state: &state,
                client: &self.client,
                mode: &mode,
                forward,
                detail: unstorable,
            };
            match follower.wait(under_way).await {
                Waited::Leads(lead, purpose) => (lead, purpose),
                Waited::Response(response) => return Ok(response),
            }
        };
        // A HEAD is stored by nobody; at most it is news of what is stored.
        let is_news = self.client.parts.method != Method::HEAD || !matches!(mode, Mode::Plain);
        let announces = is_news && !forbids && unstorable.is_none();
        let is_joinable = lead.is_joinable();
        let mut exchange = self.exchange(mode, forward, lead, purpose, announces);
        if let Some(detail) = unstorable {
            exchange.verdict.unstored = detail;
        }
        match is_joinable {
            true => exchange.shared().await,
            false => exchange.alone().await,
        }
    }

    /// Validates `found` in the background, unless somebody does so already. The client has its
    /// answer, so its own request serves for that.
    fn refresh(mut self, found: Found) {
        if self
            .state
            .options
            .policy
            .forbids_storing(&self.client.view())
        {
            return;
        }
        // A HEAD would bring no body if the response has changed.
        self.client.parts.method = Method::GET;
        if let Claim::Leader(lead) = self.state.claim(&self.client, true)
            && lead.is_joinable()
        {
            let mode = Mode::Validate(found);
            let exchange = self.exchange(mode, Forward::Stale, lead, Purpose::Others, true);
            tokio::spawn(exchange.unattended().in_current_span());
        }
    }

    fn exchange(
        self,
        mode: Mode,
        forward: Forward,
        lead: Lead,
        purpose: Purpose,
        announces: bool,
    ) -> Exchange<S, ReqBody> {
        let verdict = Verdict {
            replaces: forward == Forward::Partial || !matches!(mode, Mode::Plain),
            state: self.state,
            client: self.client,
            forward,
            lead: Arc::new(lead),
            unstored: "store-unavailable",
        };
        Exchange {
            inner: self.inner,
            body: Some(self.body),
            mode,
            purpose,
            announces,
            verdict,
        }
    }
}

impl State {
    /// The answer from what is stored where nothing has to be waited for: a hit on embedded
    /// memory that is neither being filled nor to be refreshed.
    pub(super) fn hit_at_once<B>(&self, client: &Client) -> Option<Response<CacheBody<B>>> {
        if !self.in_flight.is_idle(&client.primary) {
            return None;
        }
        let now = Timestamp::now();
        let found = self.lookup_at_once(client, now)?;
        match self.reuse(client, &found, now.as_millis()) {
            Reuse::Fresh | Reuse::Stale => Some(self.answer_hit(client, &found, now.as_millis())),
            _ => None,
        }
    }

    fn reuse(&self, client: &Client, found: &Found, now: u64) -> Reuse {
        let length = found.body.len() as u64;
        let policy = &self.options.policy;
        policy.reuse(&client.view(), &found.head, length, now)
    }

    fn answer_hit<B>(&self, client: &Client, found: &Found, now: u64) -> Response<CacheBody<B>> {
        let status = CacheStatus::hit(found.head.ttl(now));
        self.answer_at(client, found, &status, now)
    }

    pub(super) fn respond<B>(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        body: CacheBody<B>,
        cache_status: &CacheStatus,
    ) -> Response<CacheBody<B>> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        cache_status.append_to(response.headers_mut(), &self.options.name);
        response
    }

    /// The answer to `client` from what is stored: its conditions, its range, `Age`.
    pub(super) fn answer<B>(
        &self,
        client: &Client,
        found: &Found,
        status: &CacheStatus,
    ) -> Response<CacheBody<B>> {
        self.answer_at(client, found, status, now())
    }

    fn answer_at<B>(
        &self,
        client: &Client,
        found: &Found,
        status: &CacheStatus,
        now: u64,
    ) -> Response<CacheBody<B>> {
        let length = found.body.len() as u64;
        let answer = found.head.answer(&client.view(), length, now);
        let body = match answer.content {
            Content::Empty => Bytes::new(),
            Content::Whole => found.body.clone(),
            Content::Slice(range) => slice(&found.body, range),
        };
        self.respond(
            answer.status,
            answer.headers,
            CacheBody::stored(body),
            status,
        )
    }

    /// `only-if-cached` with nothing to send (RFC 9111 §5.2.1.7).
    fn gateway_timeout<B>(&self, forward: Forward) -> Response<CacheBody<B>> {
        let detail = "the request is only-if-cached and no stored response may answer it";
        let status = CacheStatus::forward(forward).with_detail("only-if-cached");
        self.problem(StatusCode::GATEWAY_TIMEOUT, detail, &status)
    }

    /// An answer of the cache's own.
    pub(super) fn problem<B>(
        &self,
        status: StatusCode,
        detail: &str,
        cache_status: &CacheStatus,
    ) -> Response<CacheBody<B>> {
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            detail: Some(detail),
            extension: Plain {},
        };
        let mut response = problem.into_response(status).map(CacheBody::stored);
        cache_status.append_to(response.headers_mut(), &self.options.name);
        response
    }
}
