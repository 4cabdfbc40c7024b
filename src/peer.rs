//! The address at the other end of the connection.

use std::net::SocketAddr;

use http::Extensions;

/// The connection's peer, for servers other than axum: put it into each request's extensions.
///
/// With the feature `axum`, `axum::extract::ConnectInfo<SocketAddr>` (from
/// `into_make_service_with_connect_info`) is found too, and this type wins over it.
///
/// ```
/// use std::net::SocketAddr;
/// use tower_keep::PeerAddr;
///
/// # let accepted_from = SocketAddr::from(([192, 0, 2, 1], 4711));
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddr(accepted_from));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The peer of the connection that a request came over, if the server said.
pub(crate) fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    let own = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let own = own.or_else(|| {
        extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()
            .map(|info| info.0)
    });
    own
}
