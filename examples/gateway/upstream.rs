//! The inner service: sends a request on to the upstream server.

use std::{
    error::Error as StdError,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::{
    Body, RequestBody,
    body::{Progress, UploadError},
    common::Error,
    connector::{self, Connector},
    forwarding, hop_by_hop,
    idle::{Idle, IdleLimit},
    tunnel,
};

/// Origins close idle connections, Node after 5 s for one; be quicker than they are, so that a
/// request does not meet a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// What is read ahead of a client that is slow, and the longest head of a response.
const BUFFER: usize = 128 << 10;

/// How long the upstream server may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a response, once it has the request.
    pub head: Duration,
    /// Between two parts of a response's body.
    pub idle: Duration,
}

#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client<Connector, RequestBody>,
    origin: Uri,
    pseudonym: String,
    patience: Patience,
    tunnels: TaskTracker,
}

/// Why there is no response, or only half of one.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the upstream server cannot be reached or broke off: {0}")]
    Failed(legacy::Error),
    #[error("the upstream server gave no answer in time")]
    TimedOut,
    #[error("the upstream server's response cannot be understood: {0}")]
    Malformed(&'static str),
    #[error("the request's body did not come in time")]
    SlowUpload,
    #[error("the request's body broke off")]
    HalfUpload,
    #[error("the request's target cannot be sent on: {0}")]
    Target(#[from] http::Error),
}

impl UpstreamError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Failed(_) | Self::Malformed(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::SlowUpload => StatusCode::REQUEST_TIMEOUT,
            Self::HalfUpload | Self::Target(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<legacy::Error> for UpstreamError {
    /// What the client does wrong is not the upstream server's failure.
    fn from(error: legacy::Error) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(upload) = inner.downcast_ref::<UploadError>() {
                return match upload.is_idle() {
                    true => Self::SlowUpload,
                    false => Self::HalfUpload,
                };
            }
            cause = inner.source();
        }
        Self::Failed(error)
    }
}

impl Upstream {
    /// `origin` has a scheme and an authority. `tunnels` holds the websockets under way.
    pub fn new(origin: Uri, pseudonym: &str, patience: Patience, tunnels: TaskTracker) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(BUFFER)
            .build(Connector::new());
        Self {
            client,
            origin,
            pseudonym: pseudonym.to_owned(),
            patience,
            tunnels,
        }
    }

    fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = uri.path_and_query().cloned();
        Ok(Uri::from_parts(parts)?)
    }

    /// The head of the response. A request whose repetition is harmless (RFC 9110 §9.2.2), and
    /// which has no body that would be gone, is sent once more when it met a connection that the
    /// upstream server was closing.
    async fn ask(
        &self,
        request: Request<RequestBody>,
        may_repeat: bool,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let may_repeat =
            may_repeat && request.method().is_idempotent() && request.body().is_end_stream();
        let again = may_repeat.then(|| repetition(&request));
        let progress = request.body().progress();
        let asked = async {
            match (self.client.request(request).await, again) {
                (Err(error), Some(again)) if connector::closed_idle_connection(&error) => {
                    self.client.request(again).await
                }
                (result, _) => result,
            }
        };
        let response = within(self.patience.head, &progress, asked).await??;
        connector::mark_used(&response);
        Ok(response)
    }

    /// The response as it goes on. Its end is told in one way (RFC 9112 §6.3), so that what this
    /// gateway has read to its end is what its client reads.
    fn received(
        &self,
        mut response: Response<Incoming>,
        client_side: Option<OnUpgrade>,
    ) -> Result<Response<Body>, UpstreamError> {
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switches {
            let client_side = client_side
                .filter(|_| tunnel::is_named(response.headers()))
                .ok_or(UpstreamError::Malformed(
                    "it switches to an unknown protocol",
                ))?;
            let upstream_side = hyper::upgrade::on(&mut response);
            self.tunnels.spawn(tunnel::run(client_side, upstream_side));
        }
        let received = forwarding::received(response.version());
        let headers = response.headers_mut();
        settle_length(headers)?;
        hop_by_hop::remove(headers);
        if switches {
            headers.insert(header::UPGRADE, tunnel::WEBSOCKET);
        }
        name_connection_fields(headers);
        forwarding::add_via(headers, received, &self.pseudonym);
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(|body| {
            IdleLimit::new(body, self.patience.idle)
                .map_err(timed_out)
                .boxed_unsync()
        }))
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
            *request.uri_mut() = this.target(request.uri())?;
            *request.version_mut() = Version::HTTP_11;
            let websocket = request.headers().contains_key(header::UPGRADE);
            let client_side = websocket.then(|| hyper::upgrade::on(&mut request));
            name_connection_fields(request.headers_mut());
            let body = request.body();
            if !body.is_end_stream() && body.size_hint().exact().is_none() {
                // Else hyper takes a GET for one without a body.
                let chunked = HeaderValue::from_static("chunked");
                request
                    .headers_mut()
                    .insert(header::TRANSFER_ENCODING, chunked);
            }
            let response = this.ask(request, !websocket).await?;
            this.received(response, client_side)
        })
    }
}

/// The same request, which has no body.
fn repetition(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut again = Request::new(RequestBody::default());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    again
}

/// Waits for the head of a response as long as `limit` after the last progress of the request.
async fn within<T>(
    limit: Duration,
    progress: &Progress,
    head: impl Future<Output = T>,
) -> Result<T, UpstreamError> {
    let (mut head, begun) = (pin!(head), Instant::now());
    let deadline = || match progress.last() {
        Some(last) => last.max(begun) + limit,
        // It is the client that is waited for.
        None => Instant::now() + limit,
    };
    loop {
        match timeout_at(deadline(), &mut head).await {
            Ok(head) => return Ok(head),
            Err(_) if deadline() > Instant::now() => {}
            Err(_) => return Err(UpstreamError::TimedOut),
        }
    }
}

fn timed_out(error: Error) -> Error {
    if error.is::<Idle>() {
        tracing::warn!(%error, "the upstream server stopped in the middle of a response");
        return UpstreamError::TimedOut.into();
    }
    error
}

/// A connection's fields have to be named by `Connection`.
fn name_connection_fields(headers: &mut HeaderMap) {
    let te = headers.contains_key(header::TE);
    let upgrade = headers.contains_key(header::UPGRADE);
    let options = match (te, upgrade) {
        (true, true) => "te, upgrade",
        (true, false) => "te",
        (false, true) => "upgrade",
        (false, false) => return,
    };
    headers.insert(header::CONNECTION, HeaderValue::from_static(options));
}

/// `Transfer-Encoding` overrides `Content-Length`; equal lengths are one; unequal ones are none.
fn settle_length(headers: &mut HeaderMap) -> Result<(), UpstreamError> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut lengths = headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    if !is_number || lengths.any(|other| other != length) {
        return Err(UpstreamError::Malformed("its Content-Length is no length"));
    }
    let length = HeaderValue::from_bytes(length).map_err(http::Error::from)?;
    headers.insert(header::CONTENT_LENGTH, length);
    Ok(())
}
