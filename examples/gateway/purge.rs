//! `POST /_cache/purge`: takes stored responses out of the cache, for those who have the token.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Limited};
use sha2::{Digest as _, Sha256};
use tower_keep::{
    cache::{CacheHandle, Purged},
    target,
};

use crate::{
    Body,
    common::Error,
    forwarding,
    problem::{json_response, problem},
};

const PATH: &str = "/_cache/purge";
/// The longest body that is read, in bytes.
const LONGEST: usize = 16 << 10;

/// Who may purge, and what.
#[derive(Clone)]
pub struct Purge {
    /// A digest: comparing it tells nothing about the token by its time.
    token: Arc<[u8]>,
    cache: CacheHandle,
}

/// What a request asks for.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    uri: Option<String>,
    tag: Option<String>,
    #[serde(default)]
    soft: bool,
}

impl Purge {
    pub fn new(token: &str, cache: CacheHandle) -> Self {
        Self {
            token: digest(token.as_bytes()),
            cache,
        }
    }

    /// Whether this is the path of purges. Without a token there is nothing there.
    pub fn is_asked_for(uri: &Uri) -> bool {
        uri.path() == PATH
    }

    pub async fn respond<B>(&self, request: Request<B>, idle: Duration) -> Response<Body>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Error>,
    {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "a purge is a POST");
            let allow = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        if let Some(response) = self.refuse(&parts.headers) {
            return response;
        }
        let body = Limited::new(body, LONGEST).collect();
        let body = match tokio::time::timeout(idle, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
            }
            Ok(Err(_)) => return problem(StatusCode::BAD_REQUEST, "the body broke off"),
            Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
        };
        match self.purge(&body, &parts.headers).await {
            Ok(response) => response,
            Err(detail) => problem(StatusCode::BAD_REQUEST, &detail),
        }
    }

    /// 401 without a token, 403 with a wrong one (RFC 6750 §3).
    fn refuse(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let token = headers.get(header::AUTHORIZATION).and_then(|field| {
            let (scheme, token) = field.as_bytes().split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then_some(token.trim_ascii())
        });
        let Some(token) = token else {
            let mut response = problem(StatusCode::UNAUTHORIZED, "a purge needs a bearer token");
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
            return Some(response);
        };
        let is_right = digest(token) == self.token;
        (!is_right).then(|| problem(StatusCode::FORBIDDEN, "the bearer token is wrong"))
    }

    async fn purge(&self, body: &[u8], headers: &HeaderMap) -> Result<Response<Body>, String> {
        let asked: Asked = serde_json::from_slice(body).map_err(|error| {
            format!("the body is not {{\"uri\": …}} or {{\"tag\": …}}: {error}")
        })?;
        let purged = match asked {
            Asked {
                uri: Some(uri),
                tag: None,
                soft: false,
            } => {
                let mut parts = request(&uri, headers)?.into_parts().0;
                let plain = self.cache.purge_request(&parts).await;
                // Pages for clients that came over TLS are kept apart.
                forwarding::mark_secure(&mut parts.headers);
                match self.cache.purge_request(&parts).await {
                    Purged::Everywhere => plain,
                    pending => pending,
                }
            }
            Asked {
                uri: None,
                tag: Some(tag),
                soft: false,
            } => self.cache.purge_tags([tag]).await,
            Asked {
                uri: None,
                tag: Some(tag),
                soft: true,
            } => match self.cache.soft_purge_tags([tag]).await {
                Ok(()) => Purged::Everywhere,
                Err(error) => {
                    let detail = format!("nothing was purged: {error}");
                    return Ok(problem(StatusCode::SERVICE_UNAVAILABLE, &detail));
                }
            },
            Asked {
                uri: Some(_),
                tag: None,
                soft: true,
            } => {
                return Err("only a tag can be purged softly".to_owned());
            }
            _ => return Err("expected either \"uri\" or \"tag\"".to_owned()),
        };
        Ok(match purged {
            Purged::Everywhere => {
                json_response(StatusCode::OK, &serde_json::json!({"purged": true}))
            }
            // The store has not taken it yet.
            _ => json_response(StatusCode::ACCEPTED, &serde_json::json!({"purged": false})),
        })
    }
}

/// The request whose response is stored under this URI: an absolute one, or a path on the site that
/// the purge itself was sent to.
fn request(uri: &str, headers: &HeaderMap) -> Result<Request<()>, String> {
    let invalid = || format!("{uri:?} is not an absolute URI or a path");
    let parsed: Uri = uri.parse().map_err(|_| invalid())?;
    let path = parsed.path_and_query().cloned().ok_or_else(invalid)?;
    let host = match parsed.authority() {
        Some(_) => {
            let no_host = HeaderMap::new();
            let site = target::authority(&parsed, &no_host);
            let site = site
                .map_err(|error| error.to_string())?
                .ok_or_else(invalid)?;
            HeaderValue::from_str(site).map_err(|_| invalid())?
        }
        None if uri.starts_with('/') => headers.get(header::HOST).cloned().ok_or_else(invalid)?,
        None => return Err(invalid()),
    };
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

fn digest(token: &[u8]) -> Arc<[u8]> {
    Sha256::digest(token)[..].into()
}
