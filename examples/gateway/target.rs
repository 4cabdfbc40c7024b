//! What a request is for: one site and one path, told in one way from here on.

use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri::PathAndQuery,
};
use tower_keep::target::{self, TargetError};

/// A request that is not for this gateway to forward.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Site(#[from] TargetError),
    #[error("the request has no Host field")]
    MissingHost,
    #[error("the request's target has none of the forms that its method may have")]
    Form,
    #[error("this is no proxy for tunnels")]
    Connect,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Site(_) | Self::MissingHost | Self::Form => StatusCode::BAD_REQUEST,
        }
    }
}

/// Makes the request's URI a path and a query, and `Host` the one name of its site (RFC 9112
/// §3.2). What the cache makes its key of is then what the upstream server gets.
///
/// `default` is the site of requests that need not name one, those of HTTP/1.0.
pub fn settle<B>(request: &mut Request<B>, default: &HeaderValue) -> Result<(), Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let path = path(request)?;
    let site = site(request)?.unwrap_or_else(|| default.clone());
    request.headers_mut().insert(header::HOST, site);
    *request.uri_mut() = Uri::from(path);
    Ok(())
}

fn site<B>(request: &Request<B>) -> Result<Option<HeaderValue>, Refusal> {
    let (uri, headers) = (request.uri(), request.headers());
    let host = target::host(headers)?;
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Refusal::MissingHost);
    }
    let no_host = HeaderMap::new();
    let is_replaced = request.version() < Version::HTTP_2 && uri.authority().is_some();
    let site = target::authority(uri, if is_replaced { &no_host } else { headers })?;
    match site {
        Some(site) => HeaderValue::from_str(site)
            .map(Some)
            .map_err(|_| Refusal::Form),
        None if request.version() == Version::HTTP_10 => Ok(None),
        None => Err(Refusal::MissingHost),
    }
}

fn path<B>(request: &Request<B>) -> Result<PathAndQuery, Refusal> {
    let uri = request.uri();
    if uri
        .scheme_str()
        .is_some_and(|scheme| !["http", "https"].contains(&scheme))
    {
        return Err(Refusal::Form);
    }
    let Some(path) = uri.path_and_query() else {
        return Err(Refusal::Form);
    };
    match path.as_str() {
        "*" if request.method() == Method::OPTIONS => Ok(path.clone()),
        text if text.starts_with('/') => Ok(path.clone()),
        // `http://host?query` has the root as its path.
        text if text.starts_with('?') => format!("/{text}").parse().map_err(|_| Refusal::Form),
        _ => Err(Refusal::Form),
    }
}
