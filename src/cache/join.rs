//! What a request gets that waited for another one's answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::{
    body::CacheBody,
    cache_status::CacheStatus,
    exchange::{Mode, Purpose},
    fill::Fill,
    in_flight::{Claim, Lead},
    lookup::Found,
    policy::{Content, Failure, Forward, Reuse, StoredHead},
    reader::{Reader, Shareable},
    state::{Client, State, now},
};

/// How often a request waits for another one before it goes forward by itself. Once is the rule,
/// twice where the first answer shows what the responses vary by.
const WAITS: usize = 3;

/// How the waiting for another request, or for several, ended.
pub(super) enum Waited<B> {
    Response(Response<CacheBody<B>>),
    /// It goes forward now.
    Leads(Lead, Purpose),
}

/// How the waiting for one fill ended.
enum Joined<B> {
    Response(Response<CacheBody<B>>),
    /// Another fill may have it: what was answered is another variant, or nothing came.
    Again,
    /// What was answered is not for others.
    Alone,
}

/// A request that waits, and why it would go forward otherwise.
pub(super) struct Follower<'a> {
    pub(super) state: &'a State,
    pub(super) client: &'a Client,
    /// With the stale response that it found, if any.
    pub(super) mode: &'a Mode,
    pub(super) forward: Forward,
    /// For `Cache-Status`.
    pub(super) detail: Option<&'static str>,
}

impl Follower<'_> {
    /// Waits as long as there is an answer to wait for: that of the fill which was `under_way`
    /// before the lookup, or of another of the same variant.
    pub(super) async fn wait<B>(&self, mut under_way: Option<Arc<Fill>>) -> Waited<B> {
        let (state, client) = (self.state, self.client);
        let shared = client.is_shareable();
        for _ in 0..WAITS {
            let known = under_way.take().filter(|fill| state.accepts(client, fill));
            let claim = known.map_or_else(|| state.claim(client, shared), Claim::Follower);
            let fill = match claim {
                Claim::Leader(lead) if shared => return Waited::Leads(lead, Purpose::Others),
                Claim::Leader(lead) => return Waited::Leads(lead, Purpose::Own),
                Claim::Follower(fill) => fill,
            };
            match self.join(&fill).await {
                Joined::Response(response) => return Waited::Response(response),
                Joined::Again => {}
                Joined::Alone => break,
            }
        }
        Waited::Leads(state.in_flight.begin(&client.primary), Purpose::Own)
    }

    /// Waits for the head of a fill and shares the response, if it may answer this request.
    async fn join<B>(&self, fill: &Arc<Fill>) -> Joined<B> {
        let mut whole = false;
        loop {
            let (head, failure, content) = match fill.shareable(whole).await {
                Shareable::Gone => return Joined::Again,
                Shareable::Refused => return Joined::Alone,
                Shareable::Failed(failure) => return self.failed(failure),
                Shareable::Complete { found, failure } => (found.head, failure, Ok(found.body)),
                Shareable::Arriving {
                    head,
                    length,
                    failure,
                    reader,
                } => (head, failure, Err((length, reader))),
            };
            if let Some(stale) = failure.and_then(|status| self.stale(Failure::Status(status))) {
                return Joined::Response(stale);
            }
            let length = match &content {
                Ok(body) => Some(body.len() as u64),
                Err((length, _)) => *length,
            };
            // Only what is cut to size needs the length.
            let Some(length) = length.or_else(|| self.wants_all().then_some(0)) else {
                return Joined::Alone;
            };
            match self.reuse(&head, length) {
                Reuse::Fresh | Reuse::Stale | Reuse::StaleWhileRevalidate => {}
                Reuse::Forward(Forward::VaryMiss) => return Joined::Again,
                _ => return Joined::Alone,
            }
            let response = match content {
                Ok(body) => {
                    let found = Found {
                        head,
                        body,
                        version: None,
                    };
                    Some(self.state.answer(self.client, &found, &self.status()))
                }
                Err((_, reader)) => self.arriving(&head, length, reader),
            };
            match response {
                Some(response) => return Joined::Response(response),
                // A part of a body that is still arriving.
                None => whole = true,
            }
        }
    }

    fn wants_all(&self) -> bool {
        let parts = &self.client.parts;
        parts.method == Method::GET && !parts.headers.contains_key(header::RANGE)
    }

    fn reuse(&self, head: &StoredHead, length: u64) -> Reuse {
        let policy = &self.state.options.policy;
        policy.reuse(&self.client.view(), head, length, now())
    }

    fn status(&self) -> CacheStatus {
        CacheStatus {
            collapsed: true,
            detail: self.detail,
            ..CacheStatus::forward(self.forward)
        }
    }

    fn arriving<B>(
        &self,
        head: &StoredHead,
        length: u64,
        reader: Reader,
    ) -> Option<Response<CacheBody<B>>> {
        let answer = head.answer(&self.client.view(), length, now());
        let body = match answer.content {
            Content::Whole => CacheBody::arriving(reader),
            Content::Empty => CacheBody::stored(Bytes::new()),
            Content::Slice(_) => return None,
        };
        let status = self.status();
        Some(
            self.state
                .respond(answer.status, answer.headers, body, &status),
        )
    }

    /// The inner service failed: it is not asked again for each who waited.
    fn failed<B>(&self, failure: Failure) -> Joined<B> {
        match (self.stale(failure), failure) {
            (Some(stale), _) => Joined::Response(stale),
            (None, Failure::Disconnected) => {
                let detail = "the request that this one waited for got no response";
                let status = StatusCode::BAD_GATEWAY;
                Joined::Response(self.state.problem(status, detail, &self.status()))
            }
            (None, Failure::Status(_)) => Joined::Alone,
        }
    }

    /// This request's own stale response in place of the failure.
    fn stale<B>(&self, failure: Failure) -> Option<Response<CacheBody<B>>> {
        let Mode::Validate(found) = self.mode else {
            return None;
        };
        let (client, time) = (self.client, now());
        let policy = &self.state.options.policy;
        policy
            .stale_on(failure, &client.view(), &found.head, time)
            .then(|| {
                let status = CacheStatus {
                    ttl: Some(found.head.ttl(time)),
                    ..self.status().with_detail("stale-if-error")
                };
                self.state.answer(client, found, &status)
            })
    }
}

impl State {
    /// Joins the fill of the variant that the request selects, or begins one; others join that
    /// if it is `shared`.
    pub(super) fn claim(&self, client: &Client, shared: bool) -> Claim {
        let accepts = |fill: &Fill| self.accepts(client, fill);
        let guess = self.guess(client);
        self.in_flight
            .claim(&client.primary, guess, shared, accepts)
    }

    /// Whether the answer to a request that was sent when the fill began can be new enough for
    /// this client.
    fn accepts(&self, client: &Client, fill: &Fill) -> bool {
        let policy = &self.options.policy;
        policy.accepts_answer_since(&client.view(), fill.began(), now())
    }
}
