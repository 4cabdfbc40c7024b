//! What an unsafe request invalidates (RFC 9111 §4.4).

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use super::RequestHead;
use super::headers::single;

/// The methods that are registered as safe; the safety of any other is unknown.
const SAFE: [&str; 8] = [
    "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH",
];

/// The URIs to invalidate after a response, each with all of its variants: the request's own
/// first, then those of `Location` and `Content-Location`. All have the request's own scheme and
/// authority, so that only path and query are named: another origin is never touched.
///
/// None after a safe method or an error.
pub(crate) fn invalidated(
    request: &RequestHead<'_>,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<PathAndQuery> {
    if !is_invalidating(request.method, status) {
        return Vec::new();
    }
    let mut found = vec![target(request)];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(uri) = referenced(request, response, &name)
            && !found.contains(&uri)
        {
            found.push(uri);
        }
    }
    found
}

/// Whether a request may have changed something: its method is not safe, and it did not fail.
pub(super) fn is_invalidating(method: &Method, status: StatusCode) -> bool {
    let non_error = status.is_success() || status.is_redirection();
    non_error && !SAFE.contains(&method.as_str())
}

fn target(request: &RequestHead<'_>) -> PathAndQuery {
    request
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// The path and query of the field's URI reference, if it has the request's origin.
fn referenced(
    request: &RequestHead<'_>,
    response: &HeaderMap,
    name: &HeaderName,
) -> Option<PathAndQuery> {
    let reference = single(response, name)??.to_str().ok()?.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    if has_scheme(reference) {
        let uri: Uri = reference.parse().ok()?;
        let same = is_same_origin(request, uri.scheme(), uri.authority()?);
        return same.then(|| uri.path_and_query().cloned())?;
    }
    if let Some(rest) = reference.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let same = is_same_origin(request, None, &authority.parse().ok()?);
        return same.then(|| normalised(path))?;
    }
    let base = request.uri.path();
    match reference.bytes().next() {
        None => Some(target(request)),
        Some(b'/') => normalised(reference),
        Some(b'?') => normalised(&format!("{base}{reference}")),
        Some(_) => {
            let directory = base.rfind('/').map_or("/", |slash| &base[..=slash]);
            normalised(&format!("{directory}{reference}"))
        }
    }
}

fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']).unwrap_or(reference.len());
    reference[end..].starts_with(':')
}

/// A request without a scheme in its URI is of the scheme that the reference says.
fn is_same_origin(
    request: &RequestHead<'_>,
    scheme: Option<&Scheme>,
    authority: &Authority,
) -> bool {
    let own_scheme = request.uri.scheme();
    let (Some(scheme), Some(own_scheme)) = (
        scheme.or(own_scheme).or(Some(&Scheme::HTTP)),
        own_scheme.or(scheme).or(Some(&Scheme::HTTP)),
    ) else {
        return false;
    };
    let port = |authority: &Authority| {
        authority
            .port_u16()
            .unwrap_or(if *scheme == Scheme::HTTPS { 443 } else { 80 })
    };
    own_authority(request).is_some_and(|own| {
        scheme == own_scheme
            && [Scheme::HTTP, Scheme::HTTPS].contains(scheme)
            && authority.host().eq_ignore_ascii_case(own.host())
            && port(authority) == port(&own)
    })
}

fn own_authority(request: &RequestHead<'_>) -> Option<Authority> {
    match request.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => single(request.headers, &header::HOST)??
            .to_str()
            .ok()?
            .parse()
            .ok(),
    }
}

/// Removes the dot segments of a path (RFC 3986 §5.2.4).
fn normalised(reference: &str) -> Option<PathAndQuery> {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut given = path.split('/').skip(1).peekable();
    while let Some(segment) = given.next() {
        let last = given.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
        // A path that ends in a dot segment is a directory.
        if last && matches!(segment, "." | "..") {
            segments.push("");
        }
    }
    let path = segments.join("/");
    let uri = match query {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    };
    uri.parse().ok()
}

#[cfg(test)]
mod tests;
