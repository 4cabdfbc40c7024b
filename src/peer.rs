//! The address at the other end of the connection.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

/// The connection's peer: what requests are limited by where nothing else is said.
///
/// It is in the extensions of each request. With axum (`into_make_service_with_connect_info`, and
/// the feature `axum`) and with tonic (with or without TLS; the feature `tonic`) it is found in what
/// these put there themselves. Any other server, hyper itself for one, knows it when it accepts a
/// connection: `PeerAddr` is a layer, to be put around that connection's service.
///
/// ```
/// use std::net::SocketAddr;
/// use tower::{Layer, ServiceBuilder};
/// use tower_keep::{PeerAddr, Store, rate_limit::RateLimitLayer};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let handler = tower::service_fn(async |_: http::Request<()>| {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # });
/// let limit = RateLimitLayer::new(Store::memory(), r#""burst";q=5;w=10"#.parse()?);
/// let service = ServiceBuilder::new().layer(limit).service(handler);
/// // let (stream, peer) = listener.accept().await?;
/// # let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
/// let service = PeerAddr(peer).layer(service.clone());
/// // http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
/// # Ok(()) }
/// ```
///
/// A `PeerAddr` wins over what a server has put into the extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl<S> Layer<S> for PeerAddr {
    type Service = WithPeerAddr<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithPeerAddr { inner, peer: *self }
    }
}

/// The service of one connection, whose requests say who their peer is. Made by [`PeerAddr`].
#[derive(Debug, Clone)]
pub struct WithPeerAddr<S> {
    inner: S,
    peer: PeerAddr,
}

impl<S, B> Service<Request<B>> for WithPeerAddr<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(request)
    }
}

/// The peer of the connection that a request came over, if the server said.
pub(crate) fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    extensions
        .get::<PeerAddr>()
        .map(|peer| peer.0)
        .or_else(|| axum(extensions))
        .or_else(|| tonic(extensions))
}

#[cfg(feature = "axum")]
fn axum(extensions: &Extensions) -> Option<SocketAddr> {
    let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()?;
    Some(info.0)
}

#[cfg(not(feature = "axum"))]
fn axum(_: &Extensions) -> Option<SocketAddr> {
    None
}

#[cfg(feature = "tonic")]
fn tonic(extensions: &Extensions) -> Option<SocketAddr> {
    use tonic::{metadata::MetadataMap, transport::server::TcpConnectInfo};

    match extensions.get::<TcpConnectInfo>() {
        Some(info) => info.remote_addr(),
        // tonic knows what its server puts there for a connection with TLS; that type exists only
        // with the application's choice of a TLS library.
        None => {
            tonic::Request::from_parts(MetadataMap::new(), extensions.clone(), ()).remote_addr()
        }
    }
}

#[cfg(not(feature = "tonic"))]
fn tonic(_: &Extensions) -> Option<SocketAddr> {
    None
}
