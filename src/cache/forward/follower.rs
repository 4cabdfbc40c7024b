//! A request that waits for the answer to another one, and what it gets.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::exchange::{Mode, Purpose};
use crate::cache::{
    body::CacheBody,
    cache_status::CacheStatus,
    client_request::ClientRequest,
    clock::now,
    fill::{Claim, Fill, Lead, Reader, Shareable},
    lookup::{Found, Stamps},
    policy::{Content, Failure, Forward, Reuse, StoredHead},
    state::State,
};

/// How often a request waits for another one before it goes forward by itself. Mostly it waits
/// once; twice if the first answer shows that responses vary by another field.
const WAITS: usize = 3;

/// How the waiting for another request, or for several, ended.
pub(crate) enum Waited<B> {
    Response(Response<CacheBody<B>>),
    /// The request goes forward now.
    Leads(Lead, Purpose),
}

/// How the waiting for one fill ended.
enum Joined<B> {
    Response(Response<CacheBody<B>>),
    /// Look for another fill: the answer was another variant, or none came.
    Again,
    /// The answer is not to be shared.
    Alone,
}

/// A request that waits, and why it would have to go forward otherwise.
pub(crate) struct Follower<'a> {
    pub(crate) state: &'a State,
    pub(crate) client: &'a ClientRequest,
    /// Holds the stale response that it found, if any.
    pub(crate) mode: &'a Mode,
    pub(crate) forward: Forward,
    /// For `Cache-Status`.
    pub(crate) detail: Option<&'static str>,
}

impl Follower<'_> {
    /// Waits for the fill that was `under_way` before the lookup, or for another one of the same
    /// variant, as long as there is one.
    pub(crate) async fn wait<B>(&self, mut under_way: Option<Arc<Fill>>) -> Waited<B> {
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
            // Only a range or a HEAD needs the length.
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
                        stamps: Stamps::default(),
                    };
                    Some(self.state.answer(self.client, &found, &self.status()))
                }
                Err((_, reader)) => self.arriving(&head, length, reader),
            };
            match response {
                Some(response) => return Joined::Response(response),
                // A range of a body that is still arriving: wait for its end.
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
        policy.reuse(&self.client.head(), head, length, now())
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
        let answer = head.answer(&self.client.head(), length, now());
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

    /// The inner service failed. It is not asked again for every request that waited.
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

    /// The stale response that this request found, in place of the failure.
    fn stale<B>(&self, failure: Failure) -> Option<Response<CacheBody<B>>> {
        let Mode::Validate(found) = self.mode else {
            return None;
        };
        let (client, time) = (self.client, now());
        let policy = &self.state.options.policy;
        policy
            .stale_on(failure, &client.head(), &found.head, time)
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
    /// Joins the fill of the variant that the request selects, or begins one. Others can join that
    /// if it is `shared`.
    pub(crate) fn claim(&self, client: &ClientRequest, shared: bool) -> Claim {
        let accepts = |fill: &Fill| self.accepts(client, fill);
        let guess = self.responses.guess(client);
        self.in_flight
            .claim(&client.primary, guess, shared, accepts)
    }

    /// Whether an answer to a request sent when the fill began can be new enough for this client.
    fn accepts(&self, client: &ClientRequest, fill: &Fill) -> bool {
        let policy = &self.options.policy;
        policy.accepts_answer_since(&client.head(), fill.began(), now())
    }
}
