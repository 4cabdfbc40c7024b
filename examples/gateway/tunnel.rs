//! Websockets: the only protocol that a connection is switched to.

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::hop_by_hop::connection_options;

/// What `Upgrade` says for a websocket.
pub const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request asks for a websocket (RFC 6455 §4.1) and for nothing else. Any other
/// upgrade may be ignored (RFC 9110 §7.8); a tunnel of HTTP/2 would pass limits and cache by.
pub fn is_asked_for<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && is_named(request.headers())
}

/// Whether a message of a connection is about its switch to websocket.
pub fn is_named(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let is_websocket = protocols.next().is_some_and(|protocol| {
        protocol
            .as_bytes()
            .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    });
    is_websocket
        && protocols.next().is_none()
        && connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// Copies both ways until one side closes.
pub async fn run(client: OnUpgrade, upstream: OnUpgrade) {
    match tokio::try_join!(client, upstream) {
        Ok((client, upstream)) => {
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // An end without a farewell is an end all the same.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        }
        Err(error) => tracing::debug!(%error, "an upgrade failed"),
    }
}
