//! A gateway between a client and a programmable origin.

use std::{future::Future, net::SocketAddr};

use http::{Request, Response};
use hyper::body::Incoming;

use crate::harness::{
    body::{self, Body},
    client::{Client, Reply},
    eventually,
    example::{Example, PATIENT},
    origin::Origin,
    raw,
    redis::RedisServer,
};

pub(super) struct Stand {
    pub(super) origin: Origin,
    pub(super) gateway: Example,
}

impl Stand {
    pub(super) fn start<H, F>(flags: &[&str], handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let origin = Origin::start(handler);
        let gateway = start(origin.addr(), flags);
        Self { origin, gateway }
    }

    /// On `redis`, with patience.
    pub(super) fn on_redis<H, F>(redis: &RedisServer, flags: &[&str], handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let url = redis.url();
        Self::start(&[&["--store", &url], &PATIENT[..], flags].concat(), handler)
    }

    pub(super) fn client(&self) -> Client {
        Client::http1(self.gateway.addr())
    }

    pub(super) fn h2c(&self) -> Client {
        Client::h2c(self.gateway.addr())
    }

    /// What comes back for these bytes up to the end of the connection, for which they have to ask.
    pub(super) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        raw::exchange(self.gateway.addr(), bytes).await
    }
}

/// A gateway to `upstream`.
pub(super) fn start(upstream: SocketAddr, flags: &[&str]) -> Example {
    let upstream = format!("http://{upstream}");
    Example::start("gateway", &[&["--upstream", &upstream], flags].concat())
}

/// 200 with these fields and a body.
pub(super) fn answer(fields: &[(&str, &str)], text: &str) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(body::full(text.to_owned())).unwrap()
}

/// A page that may be stored for a minute.
pub(super) async fn page(_: Request<Incoming>) -> Response<Body> {
    answer(&[("cache-control", "max-age=60")], "page")
}

/// A page that may be stored for a minute and shows the request as it came to the origin:
/// method and target, then each line of the head.
pub(super) async fn echo(request: Request<Incoming>) -> Response<Body> {
    answer(&[("cache-control", "max-age=60")], &shown(&request))
}

/// A request's method, target and fields, a line each.
pub(super) fn shown<B>(request: &Request<B>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

/// A GET with a header field.
pub(super) async fn get_with(client: &Client, path: &str, name: &str, value: &str) -> Reply {
    let request = Request::get(path).header(name, value).body(body::empty());
    client.send(request.unwrap()).await
}

/// Waits until `redis` has a response: its client has it before.
pub(super) async fn stored(redis: &RedisServer) {
    eventually("it is stored", async || {
        let fields = |key: &String| redis.query::<Vec<String>>(&["HKEYS", key]);
        let bodies = |key| fields(key).iter().any(|field| field.starts_with('b'));
        redis.keys("keep:cache:*").iter().any(bodies)
    })
    .await;
}
