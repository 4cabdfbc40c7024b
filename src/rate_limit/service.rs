//! The service: asks the limits before it calls the inner service.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{future::ResponseFuture, settings::Settings, step::Step};
use crate::body::ResponseBody;

/// A service whose requests are limited. Made by [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RateLimit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match Step::first(&self.settings, parts) {
            // Where nothing is waited for, the service that was made ready is called at once.
            Step::Call(parts, admitted) => {
                let future = self.inner.call(Request::from_parts(parts, body));
                ResponseFuture::calling(future, admitted)
            }
            Step::Refuse(response) => ResponseFuture::refused(response),
            Step::Wait(waiting) => {
                // The clone has not been made ready; the one that has goes with the request.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(waiting, inner, body)
            }
        }
    }
}
