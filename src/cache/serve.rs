//! The course of a request that a stored response may answer: look up, decide, answer or forward.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    body::{BoxError, CacheBody},
    cache_status::CacheStatus,
    exchange::{Exchange, Mode},
    fill::{Fill, Shareable},
    future::ready_and_call,
    in_flight::{Claim, Lead},
    lookup::Found,
    policy::{Content, Forward, Reuse, StoredHead},
    pump::slice,
    state::{Client, State, now},
    verdict::Verdict,
};
use crate::problem::{Plain, Problem};

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
    ReqBody: Default + Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    pub(super) async fn run(self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let state = self.state.clone();
        let mut under_way = state.fill_of(&self.client);
        let announced = under_way.as_ref().and_then(|fill| fill.generation());
        let (found, generation) = match state.lookup(&self.client).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(target: "tower_keep::cache", %error, "no lookup");
                return self.pass(Forward::Miss, error.detail()).await;
            }
        };
        if announced.is_some() && announced != generation {
            // Invalidated meanwhile, by whatever process: what is under way is out of date.
            state.in_flight.forget(&self.client.primary);
            under_way = None;
        }
        // What is under way is newer than what is stored.
        if let Some(fill) = &under_way
            && let Some(response) = state.join(&self.client, fill, None).await
        {
            return Ok(response);
        }
        let policy = &state.options.policy;
        let (mode, forward) = match found {
            Ok(found) => match state.reuse(&self.client, &found.head, found.body.len() as u64) {
                Reuse::Fresh | Reuse::Stale => {
                    let status = CacheStatus::hit(found.head.ttl(now()));
                    return Ok(state.answer(&self.client, &found, &status));
                }
                Reuse::StaleWhileRevalidate => {
                    let status = CacheStatus::hit(found.head.ttl(now()));
                    let response = state.answer(&self.client, &found, &status);
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
        self.fetch(mode, forward, under_way).await
    }

    /// Forwards without storing.
    async fn pass(
        self,
        forward: Forward,
        detail: &'static str,
    ) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let request = Request::from_parts(self.client.parts, self.body);
        let mut response = ready_and_call(self.inner, request)
            .await?
            .map(CacheBody::inner);
        let status = CacheStatus {
            forward_status: Some(response.status()),
            ..CacheStatus::forward(forward).with_detail(detail)
        };
        status.append_to(response.headers_mut(), &self.state.options.name);
        Ok(response)
    }

    /// Forwards, unless the fill that was `under_way` before the lookup, or another of the same
    /// variant, has what is asked for.
    async fn fetch(
        self,
        mode: Mode,
        forward: Forward,
        under_way: Option<Arc<Fill>>,
    ) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let state = self.state.clone();
        let shared = self.client.is_shareable() && !state.is_uncacheable(&self.client);
        let claim = under_way.map_or_else(|| self.claim(shared), Claim::Follower);
        match claim {
            Claim::Leader(lead) if shared => self.exchange(mode, forward, lead).shared().await,
            Claim::Leader(lead) => self.exchange(mode, forward, lead).alone().await,
            Claim::Follower(fill) => {
                if let Some(response) = state.join(&self.client, &fill, Some(forward)).await {
                    return Ok(response);
                }
                // Not to be shared after all: everyone for himself, at once.
                let lead = state.in_flight.begin(&self.client.primary);
                self.exchange(mode, forward, lead).alone().await
            }
        }
    }

    /// Validates `found` in the background, unless somebody does so already. The client has its
    /// answer, so its own request serves for that.
    fn refresh(self, found: Found) {
        if let Claim::Leader(lead) = self.claim(true) {
            let exchange = self.exchange(Mode::Validate(found), Forward::Stale, lead);
            tokio::spawn(exchange.unattended().in_current_span());
        }
    }

    fn claim(&self, shared: bool) -> Claim {
        let guess = self.state.guess(&self.client);
        self.state
            .in_flight
            .claim(&self.client.primary, &guess, shared)
    }

    fn exchange(self, mode: Mode, forward: Forward, lead: Lead) -> Exchange<S, ReqBody> {
        let verdict = Verdict {
            replaces: forward == Forward::Partial || !matches!(mode, Mode::Plain),
            state: self.state,
            client: self.client,
            forward,
            lead: Arc::new(lead),
        };
        Exchange {
            inner: self.inner,
            body: Some(self.body),
            mode,
            verdict,
        }
    }
}

impl State {
    /// Shares the response of a fill, if it may answer this request. `forward` says why this
    /// request would go forward otherwise, and waits for that; without it what is there has to do.
    async fn join<B>(
        &self,
        client: &Client,
        fill: &Arc<Fill>,
        forward: Option<Forward>,
    ) -> Option<Response<CacheBody<B>>> {
        let waits = forward.is_some();
        let mut shared = shareable(fill, false, waits).await?;
        if let Shareable::Arriving { head, length } = &shared {
            if !self.is_reusable(client, head, *length) {
                return None;
            }
            let answer = head.answer(&client.view(), *length, now());
            let body = match answer.content {
                Content::Whole => Some(CacheBody::arriving(fill.clone(), Some(*length), false)),
                Content::Empty => Some(CacheBody::stored(Bytes::new())),
                Content::Slice(_) => None,
            };
            if let Some(body) = body {
                let status = collapsed(forward.unwrap_or(Forward::UriMiss));
                return Some(self.respond(answer.status, answer.headers, body, &status));
            }
            shared = shareable(fill, true, waits).await?;
        }
        let Shareable::Complete { head, body } = shared else {
            return None;
        };
        let found = Found {
            head,
            body,
            version: None,
        };
        let status = match forward {
            Some(forward) => collapsed(forward),
            None => CacheStatus::hit(found.head.ttl(now())),
        };
        let length = found.body.len() as u64;
        self.is_reusable(client, &found.head, length)
            .then(|| self.answer(client, &found, &status))
    }

    fn reuse(&self, client: &Client, head: &StoredHead, length: u64) -> Reuse {
        self.options
            .policy
            .reuse(&client.view(), head, length, now())
    }

    fn is_reusable(&self, client: &Client, head: &StoredHead, length: u64) -> bool {
        matches!(
            self.reuse(client, head, length),
            Reuse::Fresh | Reuse::Stale
        )
    }

    fn respond<B>(
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
        let length = found.body.len() as u64;
        let answer = found.head.answer(&client.view(), length, now());
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
        let problem = Problem {
            kind: "about:blank",
            title: "Gateway Timeout",
            detail: Some("the request is only-if-cached and no stored response may answer it"),
            extension: Plain {},
        };
        let mut response = problem
            .into_response(StatusCode::GATEWAY_TIMEOUT)
            .map(CacheBody::stored);
        CacheStatus::forward(forward)
            .with_detail("only-if-cached")
            .append_to(response.headers_mut(), &self.options.name);
        response
    }
}

fn collapsed(forward: Forward) -> CacheStatus {
    CacheStatus {
        collapsed: true,
        ..CacheStatus::forward(forward)
    }
}

/// What there is to share of a fill; `whole` asks for the end of its body.
async fn shareable(fill: &Fill, whole: bool, waits: bool) -> Option<Shareable> {
    if waits {
        return poll_fn(|cx| fill.poll_shareable(whole, Some(cx))).await;
    }
    match fill.poll_shareable(whole, None) {
        Poll::Ready(shareable) => shareable,
        Poll::Pending => None,
    }
}
