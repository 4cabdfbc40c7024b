//! A thin HTTP client for the tests: HTTP/1.1 or h2c, JSON, cookies when asked for.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{self, Body};
use super::cookie_jar::CookieJar;

/// A client of one server. It keeps connections, retries nothing and follows no redirects.
pub(crate) struct Client {
    server: SocketAddr,
    http: legacy::Client<HttpConnector, Body>,
    cookies: Option<Mutex<CookieJar>>,
}

impl Client {
    /// A client that speaks HTTP/1.1.
    pub(crate) fn http1(server: SocketAddr) -> Self {
        Self::build(server, false)
    }

    /// A client that speaks HTTP/2 without TLS, from the first byte on.
    pub(crate) fn h2c(server: SocketAddr) -> Self {
        Self::build(server, true)
    }

    fn build(server: SocketAddr, http2: bool) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .retry_canceled_requests(false)
            .build_http();
        Self {
            server,
            http,
            cookies: None,
        }
    }

    /// Keeps the cookies it is given and sends them back.
    pub(crate) fn with_cookies(mut self) -> Self {
        self.cookies = Some(Mutex::default());
        self
    }

    /// The cookies of a client [`with_cookies`](Self::with_cookies).
    pub(crate) fn cookies(&self) -> MutexGuard<'_, CookieJar> {
        let cookies = self
            .cookies
            .as_ref()
            .expect("the client was made with_cookies");
        cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GET, with the whole answer.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).await
    }

    /// A request without a body, with the whole answer.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Reply {
        self.send(request(method, path, body::empty())).await
    }

    /// POST of a value as JSON, with the whole answer.
    pub(crate) async fn post_json(&self, path: &str, value: &impl Serialize) -> Reply {
        self.send_json(Method::POST, path, value).await
    }

    /// A request with a value as JSON, with the whole answer.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        value: &impl Serialize,
    ) -> Reply {
        let json = serde_json::to_vec(value).expect("a test's value is representable as JSON");
        let mut request = request(method, path, body::full(json));
        request.headers_mut().insert(
            CONTENT_TYPE,
            "application/json".parse().expect("a valid header value"),
        );
        self.send(request).await
    }

    /// Sends a request whose URI is a path alone and reads the answer to its end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self
            .try_send(request)
            .await
            .unwrap_or_else(|error| panic!("no response: {error:?}"));
        let (head, body) = response.into_parts();
        let collected = body
            .collect()
            .await
            .unwrap_or_else(|error| panic!("half a body: {error:?}"));
        let trailers = collected.trailers().cloned();
        Reply {
            status: head.status,
            headers: head.headers,
            body: collected.to_bytes(),
            trailers,
        }
    }

    /// Sends a request whose URI is a path alone; the body of the answer is still to be read.
    pub(crate) async fn try_send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Error> {
        let uri = format!("http://{}{}", self.server, request.uri());
        *request.uri_mut() = uri.parse().expect("the request's URI is a path");
        if let Some(line) = self
            .cookies
            .is_some()
            .then(|| self.cookies().header())
            .flatten()
        {
            request.headers_mut().insert(COOKIE, line);
        }
        let response = self.http.request(request).await?;
        if self.cookies.is_some() {
            self.cookies().take(response.headers());
        }
        Ok(response)
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .expect("the path is valid in a URI")
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    /// The first line of a header field, as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("the header is visible ASCII"))
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body read as JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}
