//! The middleware itself.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header::UPGRADE, request};
use http_body::Body;
use tower_service::Service;

use super::{
    body::CacheBody,
    client_request::ClientRequest,
    error::BoxError,
    forward::{Pass, UnsafeCall},
    future::ResponseFuture,
    policy::{Admission, Forward, RequestHead},
    serve::Serve,
    state::State,
};

/// Answers from stored responses and stores those of the inner service.
///
/// Made by [`CacheLayer`](super::CacheLayer). It is always ready: the inner service is readied
/// only when a request goes forward, so that stored responses are served while it is busy.
#[derive(Debug, Clone)]
pub struct ResponseCache<S> {
    pub(super) inner: S,
    pub(super) state: Arc<State>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ResponseCache<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<CacheBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let state = &self.state;
        let bodies = &state.options.request_bodies;
        let has_content = bodies.has_content(request.headers(), request.body());
        let (parts, body) = request.into_parts();
        let head = RequestHead::new(&parts.method, &parts.uri, &parts.headers);
        let forward = match state.options.policy.admit(&head) {
            Admission::Forward(forward) => forward,
            Admission::Lookup if is_beyond(&parts, has_content) || state.bypasses(&parts) => {
                Forward::Bypass
            }
            Admission::Lookup => match state.primary_key(&parts, None) {
                Some(primary) => {
                    let client = ClientRequest { parts, primary };
                    if let Some(response) = state.hit_at_once(&client) {
                        return ResponseFuture::answered(response);
                    }
                    let serve = Serve {
                        state: state.clone(),
                        inner: self.inner.clone(),
                        client,
                        body,
                    };
                    return ResponseFuture::serve(Box::pin(serve.run()));
                }
                // It is not certain for which site the request is.
                None => Forward::Bypass,
            },
        };
        let is_safe = parts.method.is_safe();
        let request = Request::from_parts(parts, body);
        let inner = self.inner.clone();
        let pass = Pass {
            state: state.clone(),
            forward,
        };
        if is_safe {
            return ResponseFuture::pass(inner, request, pass);
        }
        ResponseFuture::of_unsafe(UnsafeCall::new(inner, request, pass))
    }
}

/// Whether the cache does not handle a request, whatever its method.
fn is_beyond(parts: &request::Parts, has_content: bool) -> bool {
    // Content would have to be part of the key, and an upgrade has no representation to store.
    has_content || parts.headers.contains_key(UPGRADE)
}
