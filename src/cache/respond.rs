//! The responses that the cache makes itself: from what is stored, and its own errors.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::{
    body::CacheBody,
    cache_status::CacheStatus,
    client_request::ClientRequest,
    clock::now,
    lookup::{Found, slice},
    policy::{Content, Forward},
    state::State,
};
use crate::problem::{Plain, Problem};

impl State {
    pub(super) fn answer_hit<B>(
        &self,
        client: &ClientRequest,
        found: &Found,
        now: u64,
    ) -> Response<CacheBody<B>> {
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

    /// The answer to `client` from what is stored, by its conditions and its range.
    pub(super) fn answer<B>(
        &self,
        client: &ClientRequest,
        found: &Found,
        status: &CacheStatus,
    ) -> Response<CacheBody<B>> {
        self.answer_at(client, found, status, now())
    }

    fn answer_at<B>(
        &self,
        client: &ClientRequest,
        found: &Found,
        status: &CacheStatus,
        now: u64,
    ) -> Response<CacheBody<B>> {
        let length = found.length();
        let answer = found.head.answer(&client.head(), length, now);
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
    pub(super) fn gateway_timeout<B>(&self, forward: Forward) -> Response<CacheBody<B>> {
        let detail = "the request is only-if-cached and no stored response may answer it";
        let status = CacheStatus::forward(forward).with_detail("only-if-cached");
        self.problem(StatusCode::GATEWAY_TIMEOUT, detail, &status)
    }

    /// An error that the cache answers itself.
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
