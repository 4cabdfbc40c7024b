//! A request that a stored response may answer: look it up, decide, answer or forward.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument as _;

use super::{
    body::CacheBody,
    client_request::ClientRequest,
    clock::now,
    error::BoxError,
    fill::{Announced, Claim, Fill, Lead},
    forward::{Exchange, Follower, Forwarded, Mode, Purpose, Waited},
    lookup::{Found, Lookedup},
    policy::{Forward, Reuse},
    state::State,
};
use crate::store::Timestamp;

/// A request that a stored response may answer.
pub(super) struct Serve<S, B> {
    pub(super) state: Arc<State>,
    pub(super) inner: S,
    pub(super) client: ClientRequest,
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
        let announced = under_way.as_ref().and_then(|fill| fill.announced());
        let lookup = state.responses.find(&self.client, announced.is_some());
        let (mut found, unstorable) = match lookup.await {
            Ok(Lookedup {
                found,
                generation,
                purges,
            }) => {
                let stands = Announced { generation, purges };
                if announced.is_some_and(|announced| announced != stands) {
                    // Some process has invalidated it meanwhile: what is under way is out of date.
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
        // A complete one is on its way into the store and counts as stored.
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
            Err(forward) if policy.only_if_cached(&self.client.head()) => {
                return Ok(state.gateway_timeout(forward));
            }
            Err(forward) => (Mode::Plain, forward),
        };
        self.forward(mode, forward, under_way, unstorable).await
    }

    /// Forwards the request, unless the fill that was `under_way` before the lookup, or another of
    /// the same variant, has the answer. `unstorable` says why nothing can be stored.
    async fn forward(
        self,
        mode: Mode,
        forward: Forward,
        under_way: Option<Arc<Fill>>,
        unstorable: Option<&'static str>,
    ) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let state = self.state.clone();
        let policy = &state.options.policy;
        let forbids = policy.forbids_storing(&self.client.head());
        let (lead, purpose) = if forbids || state.is_uncacheable(&self.client) {
            // As far as this process knows, nobody else can use its answer.
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
        // A response to HEAD is not stored. It can only update what is stored.
        let is_news = self.client.parts.method != Method::HEAD || !matches!(mode, Mode::Plain);
        let announces = is_news && !forbids && unstorable.is_none();
        let is_joinable = lead.is_joinable();
        let mut exchange = self.exchange(mode, forward, lead, purpose, announces);
        if let Some(detail) = unstorable {
            exchange.forwarded.unstored = detail;
        }
        match is_joinable {
            true => exchange.shared().await,
            false => exchange.alone().await,
        }
    }

    /// Validates `found` in the background, unless another request does so already. The client has
    /// its answer, so its own request is used for it.
    fn refresh(mut self, found: Found) {
        if self
            .state
            .options
            .policy
            .forbids_storing(&self.client.head())
        {
            return;
        }
        // The answer to a HEAD has no body, which is needed if the response has changed.
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
        let forwarded = Forwarded {
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
            forwarded,
        }
    }
}

impl State {
    /// The answer, if it can be given without waiting: a hit on embedded memory, while the key is
    /// not being filled and the response need not be refreshed.
    pub(super) fn hit_at_once<B>(&self, client: &ClientRequest) -> Option<Response<CacheBody<B>>> {
        if !self.in_flight.is_idle(&client.primary) {
            return None;
        }
        let now = Timestamp::now();
        let found = self.responses.at_once(client, now)?;
        match self.reuse(client, &found, now.as_millis()) {
            Reuse::Fresh | Reuse::Stale => Some(self.answer_hit(client, &found, now.as_millis())),
            _ => None,
        }
    }

    fn reuse(&self, client: &ClientRequest, found: &Found, now: u64) -> Reuse {
        let length = found.length();
        let policy = &self.options.policy;
        policy.reuse(&client.head(), &found.head, length, now)
    }
}
