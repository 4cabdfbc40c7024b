//! What becomes of a request before any layer sees it, and of what the layers answer.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tower_keep::{PeerAddr, health::Health};

use crate::{
    Body, RequestBody, Service, boxed,
    client::{Delivery, UnderWay},
    common::Error,
    forwarding, hop_by_hop, max_forwards,
    problem::problem,
    purge::Purge,
    target::{self, Refusal},
    tunnel,
};

#[derive(Clone)]
pub struct Gateway {
    pub service: Service,
    pub health: Health,
    /// `None` without a token.
    pub purge: Option<Purge>,
    /// The site of requests that need not name one: the upstream server itself.
    pub default_site: HeaderValue,
    /// How many proxies in front are believed.
    pub trusted_hops: usize,
    /// The longest pause of a body, and the longest that a client is waited for.
    pub idle: Duration,
}

impl Gateway {
    pub async fn respond(
        self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        under_way: UnderWay,
    ) -> Result<Response<Delivery<Body>>, Error> {
        let version = request.version();
        let mut response = match self.settle(&mut request) {
            Ok(()) => self.answer(request, peer).await?,
            Err(refusal) => {
                // What follows on the connection may be a part of this request to its sender.
                let mut response = problem(refusal.status(), &refusal.to_string());
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                response
            }
        };
        if version >= Version::HTTP_2 {
            response.headers_mut().remove(header::CONNECTION);
        }
        Ok(response.map(|body| Delivery::new(body, under_way, version)))
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Error> {
        // Never limited and never cached.
        match request.uri().path() {
            "/_health/live" => return Ok(boxed(self.health.live().oneshot(request).await?)),
            "/_health/ready" => return Ok(boxed(self.health.ready().oneshot(request).await?)),
            _ => {}
        }
        if Purge::is_asked_for(request.uri()) {
            return Ok(match &self.purge {
                Some(purge) => purge.respond(request, self.idle).await,
                None => problem(StatusCode::NOT_FOUND, "purging is not enabled"),
            });
        }
        if let Some(response) = max_forwards::count(&mut request) {
            return Ok(response);
        }
        forwarding::replace_claims(request.headers_mut(), self.trusted_hops);
        request.extensions_mut().insert(PeerAddr(peer));
        let request = request.map(|body| RequestBody::new(body, self.idle));
        Ok(self.service.oneshot(request).await?)
    }

    /// Makes the request what will be sent on: the layers judge by nothing else.
    fn settle(&self, request: &mut Request<Incoming>) -> Result<(), Refusal> {
        let websocket = tunnel::is_asked_for(request);
        hop_by_hop::remove(request.headers_mut());
        if websocket {
            request
                .headers_mut()
                .insert(header::UPGRADE, tunnel::WEBSOCKET);
        }
        target::settle(request, &self.default_site)?;
        join_cookies(request);
        Ok(())
    }
}

/// HTTP/2 may send a cookie in crumbs; what comes after it knows one line (RFC 9113 §8.2.3).
fn join_cookies<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}
