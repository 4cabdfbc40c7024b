//! What the gateway tells the upstream server about the way of a request.

use std::{fmt::Write as _, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header, request::Parts};
use tower_keep::PeerAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Puts what the gateway knows in place of what a client says of itself, before any layer looks.
///
/// Only with a trusted proxy in front (`hops`) do `X-Forwarded-Proto` and `Forwarded` of the request
/// count. `X-Forwarded-Host` never does: proxies let a client's own pass.
pub fn replace_claims(headers: &mut HeaderMap, hops: usize) {
    let scheme = if hops > 0 && is_secure(headers, hops) {
        "https"
    } else {
        "http"
    };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    if hops == 0 {
        headers.remove(header::FORWARDED);
    }
}

/// Whether the outermost trusted proxy was asked over TLS: the n-th value from the right, or the
/// first where proxies do not add to the field but set it.
fn is_secure(headers: &HeaderMap, hops: usize) -> bool {
    let values: Vec<_> = headers
        .get_all(FORWARDED_PROTO)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let outermost = values.len().saturating_sub(hops);
    values
        .get(outermost)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

/// Whether the client came over TLS: pages for such clients are kept apart from the others, since
/// the upstream server may send plain ones to TLS.
pub fn partition(parts: &Parts) -> Option<Vec<u8>> {
    let secure = parts.headers.get(FORWARDED_PROTO)? == "https";
    secure.then(|| b"https".to_vec())
}

/// Makes these fields those of a client that came over TLS.
pub fn mark_secure(headers: &mut HeaderMap) {
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
}

/// Adds the connection's peer to the forwarding fields and the gateway to `Via`. Limits look at
/// the fields as they came; the cache and the upstream server have to see the same ones.
pub fn sign<B>(mut request: Request<B>, pseudonym: &str) -> Request<B> {
    let peer = request
        .extensions()
        .get::<PeerAddr>()
        .map(|peer| peer.0.ip());
    let received = received(request.version());
    let headers = request.headers_mut();
    if let Some(peer) = peer {
        let peer = peer.to_canonical();
        if headers.contains_key(header::FORWARDED) {
            let element = element(peer, headers);
            add_member(headers, header::FORWARDED, &element);
        }
        add_member(headers, FORWARDED_FOR, &peer.to_string());
    }
    add_via(headers, received, pseudonym);
    request
}

/// Adds the gateway to the proxies that a message came by (RFC 9110 §7.6.3).
pub fn add_via(headers: &mut HeaderMap, received: &str, pseudonym: &str) {
    // The name was tried when the program started.
    if let Ok(via) = HeaderValue::try_from(format!("{received} {pseudonym}")) {
        headers.append(header::VIA, via);
    }
}

/// A version as `Via` writes it.
pub fn received(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// This hop in `Forwarded` (RFC 7239 §4). Only tokens go without quotes.
fn element(peer: IpAddr, headers: &HeaderMap) -> String {
    let mut element = match peer {
        IpAddr::V4(peer) => format!("for={peer}"),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\""),
    };
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(host) = text(header::HOST) {
        let is_token = !host.contains([':', '[', '(', ')', ',', ';', '=']);
        let quote = if is_token { "" } else { "\"" };
        let _ = write!(element, ";host={quote}{host}{quote}");
    }
    if let Some(scheme) = text(FORWARDED_PROTO) {
        let _ = write!(element, ";proto={scheme}");
    }
    element
}

/// Adds a member at the right end of a list, in one line with what is there.
fn add_member(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}
