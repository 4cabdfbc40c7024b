//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use tower_service::Service;

use super::{config::Config, future::ResponseFuture, handle::Session};
use crate::{ResponseBody, Store};

/// Gives every request a [`Session`]. Made by [`SessionLayer`](super::SessionLayer).
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    inner: S,
    store: Store,
    config: Arc<Config>,
}

impl<S> SessionService<S> {
    pub(super) fn new(inner: S, store: Store, config: Arc<Config>) -> Self {
        Self {
            inner,
            store,
            config,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// The content type of a gRPC call, by which it is answered.
fn grpc_content_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let content_type = headers.get(CONTENT_TYPE)?;
    let prefix = content_type.as_bytes().get(..16)?;
    prefix
        .eq_ignore_ascii_case(b"application/grpc")
        .then(|| content_type.clone())
}

impl<S, A, B> Service<Request<A>> for SessionService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let (sent, carrier) = self.config.transports.read(request.headers());
        let grpc = grpc_content_type(request.headers());
        let outer = request.extensions_mut().remove::<Session>();
        let session = Session::new(&self.store, &self.config, sent, carrier, outer);
        request.extensions_mut().insert(session.clone());
        // Nothing is awaited before the call, so the service that is ready is the one called.
        ResponseFuture::new(self.inner.call(request), session, grpc)
    }
}
