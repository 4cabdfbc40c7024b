//! The inner service: sends a request on to the upstream server.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
    uri::PathAndQuery,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tower::Service;

use crate::{Body, RequestBody};

/// Origins close idle connections, Node after 5 s for one; be quicker than they are, so that a
/// request does not meet a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// How long the head of a response may take.
const HEAD: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client<HttpConnector, RequestBody>,
    origin: Uri,
    via: HeaderName,
    pseudonym: HeaderValue,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the upstream server cannot be reached or broke off: {0}")]
    Failed(#[from] hyper_util::client::legacy::Error),
    #[error("the upstream server gave no answer in time")]
    TimedOut,
    #[error("the request's target cannot be sent on: {0}")]
    Target(#[from] http::Error),
}

impl UpstreamError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Target(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Upstream {
    /// `origin` has a scheme and an authority.
    pub fn new(origin: Uri, pseudonym: &str) -> Result<Self, http::Error> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let pseudonym = HeaderValue::try_from(format!("1.1 {pseudonym}"))?;
        Ok(Self {
            client,
            origin,
            via: header::VIA,
            pseudonym,
        })
    }

    fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let mut parts = self.origin.clone().into_parts();
        let root = || PathAndQuery::from_static("/");
        parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or_else(root));
        Ok(Uri::from_parts(parts)?)
    }
}

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<Body>;
    type Error = UpstreamError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let target = this.target(request.uri())?;
            let host = request
                .uri()
                .authority()
                .map(|authority| authority.as_str().to_owned());
            *request.uri_mut() = target;
            *request.version_mut() = Version::HTTP_11;
            // The target of an HTTP/2 request names the host; HTTP/1.1 wants the field.
            if let (Some(host), false) = (host, request.headers().contains_key(header::HOST)) {
                request.headers_mut().insert(
                    header::HOST,
                    HeaderValue::try_from(host).map_err(http::Error::from)?,
                );
            }
            let upgrade = upgrade_of(request.headers());
            let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
            forwardable(request.headers_mut(), upgrade.as_ref());
            request
                .headers_mut()
                .append(&this.via, this.pseudonym.clone());

            let response = tokio::time::timeout(HEAD, this.client.request(request))
                .await
                .map_err(|_| UpstreamError::TimedOut)??;
            Ok(this.received(response, client_side))
        })
    }
}

impl Upstream {
    fn received(
        &self,
        mut response: Response<Incoming>,
        client_side: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let mut upgrade = None;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            upgrade = upgrade_of(response.headers());
            if let Some(client_side) = client_side {
                let upstream_side = hyper::upgrade::on(&mut response);
                tokio::spawn(tunnel(client_side, upstream_side));
            }
        }
        forwardable(response.headers_mut(), upgrade.as_ref());
        response
            .headers_mut()
            .append(&self.via, self.pseudonym.clone());
        *response.version_mut() = Version::HTTP_11;
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}

/// The protocol that a message wants to switch to.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let listed = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| listed).cloned()
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Takes out the fields of the connection that a message came on (RFC 9110 §7.6.1); an upgrade
/// is asked for again on the next one.
fn forwardable(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    let listed: Vec<HeaderName> = connection_options(headers)
        .filter_map(|option| option.parse().ok())
        .collect();
    let trailers = headers.get(header::TE).is_some_and(|te| te == "trailers");
    for name in listed {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Copies both ways until one side closes.
async fn tunnel(client: hyper::upgrade::OnUpgrade, upstream: hyper::upgrade::OnUpgrade) {
    match tokio::try_join!(client, upstream) {
        Ok((client, upstream)) => {
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // An end without a farewell is an end all the same.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        }
        Err(error) => tracing::debug!(%error, "an upgrade failed"),
    }
}
