//! A cache layer over a store, an origin behind it, and a clock that can be driven.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};
use tower_keep::{
    Store,
    cache::{CacheBody, CacheLayer, ResponseCache},
};

use crate::harness::{
    body::{self, Body},
    connected::PATIENT,
    redis::Backend,
};

/// A store and a cache layer over it.
pub(crate) struct Stand {
    pub(crate) layer: CacheLayer,
    pub(crate) store: Store,
    server: Option<Backend>,
}

impl Stand {
    /// Embedded memory, with tokio's clock paused.
    pub(crate) fn memory() -> Self {
        tokio::time::pause();
        Self::new(Store::memory(), None)
    }

    /// A Redis of its own, to which the store is connected.
    pub(crate) async fn redis() -> Self {
        Self::redis_within(PATIENT).await
    }

    /// As [`redis`](Self::redis), with this deadline for the store's calls.
    pub(crate) async fn redis_within(deadline: Duration) -> Self {
        Self::within(Backend::redis(), deadline).await
    }

    /// A store that is connected to this.
    pub(crate) async fn on(server: Backend) -> Self {
        Self::within(server, PATIENT).await
    }

    async fn within(server: Backend, deadline: Duration) -> Self {
        let store = server.connected(deadline).await;
        Self::new(store, Some(server))
    }

    fn new(store: Store, server: Option<Backend>) -> Self {
        Self {
            layer: CacheLayer::new(store.clone()),
            store,
            server,
        }
    }

    pub(crate) fn with(mut self, settings: impl FnOnce(CacheLayer) -> CacheLayer) -> Self {
        self.layer = settings(self.layer);
        self
    }

    /// Another process: the same store, none of this one's memory.
    pub(crate) fn another(&self) -> CacheLayer {
        CacheLayer::new(self.store.clone())
    }

    pub(crate) fn server(&self) -> &Backend {
        self.server.as_ref().expect("this stand is on Redis")
    }

    pub(crate) fn server_mut(&mut self) -> &mut Backend {
        self.server.as_mut().expect("this stand is on Redis")
    }

    pub(crate) fn is_redis(&self) -> bool {
        self.server.is_some()
    }

    /// Lets time pass for the cache, not for Redis: what it holds does not expire there.
    pub(crate) async fn advance(&self, time: Duration) {
        if let Some(server) = &self.server {
            // A store call under way would run into its deadline.
            let stored = |key: &String| server.query::<bool>(&["HEXISTS", key, "i"]);
            eventually(|| server.keys("*:cache:*").iter().all(stored)).await;
            tokio::time::pause();
            tokio::time::advance(time).await;
            tokio::time::resume();
        } else {
            tokio::time::advance(time).await;
        }
    }

    /// A site whose origin answers with what `handler` makes of a request.
    pub(crate) fn site<H, F>(&self, handler: H) -> Site
    where
        H: Fn(Request<String>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Site::of(&self.layer, Origin::new(handler))
    }

    /// A site whose origin answers every request with these fields and the number of the answer.
    pub(crate) fn counting(&self, lines: &[(&'static str, &'static str)]) -> Site {
        let (lines, count) = (lines.to_vec(), AtomicUsize::new(0));
        self.site(move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            let response = ok(&lines, number.to_string());
            async { Ok(response) }
        })
    }
}

pub(crate) type Answer = Result<Response<Body>, io::Error>;
type Boxed = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The service behind the cache.
#[derive(Clone)]
pub(crate) struct Origin {
    handler: Arc<dyn Fn(Request<String>) -> Boxed + Send + Sync>,
    hits: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn new<H, F>(handler: H) -> Self
    where
        H: Fn(Request<String>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |request| Box::pin(handler(request))),
            hits: Arc::default(),
        }
    }
}

impl Service<Request<String>> for Origin {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Boxed;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Boxed {
        self.hits.fetch_add(1, Ordering::Relaxed);
        (self.handler)(request)
    }
}

/// A site as its clients see it.
#[derive(Clone)]
pub(crate) struct Site {
    service: ResponseCache<Origin>,
    hits: Arc<AtomicUsize>,
}

impl Site {
    pub(crate) fn of(layer: &CacheLayer, origin: Origin) -> Self {
        Self {
            hits: origin.hits.clone(),
            service: layer.layer(origin),
        }
    }

    /// How many requests have come to the origin.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Sends a request; the body of the response is still to come.
    pub(crate) async fn open(
        &self,
        request: Request<String>,
    ) -> io::Result<Response<CacheBody<Body>>> {
        self.service.clone().oneshot(request).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, lines: &[(&str, &str)]) -> Reply {
        let response = self.open(request(method, path, lines)).await;
        Reply::of(response.unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[]).await
    }
}

pub(crate) fn request(method: &str, path: &str, lines: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://site.example{path}"));
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}

/// A 200 with these fields and this body.
pub(crate) fn ok(lines: &[(&str, &str)], content: impl Into<Bytes>) -> Response<Body> {
    with(lines, body::full(content))
}

/// A 200 with these fields and this body.
pub(crate) fn with(lines: &[(&str, &str)], body: Body) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in lines {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// An answer without a body.
pub(crate) fn status(status: u16, lines: &[(&str, &str)]) -> Response<Body> {
    let mut response = with(lines, body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A response to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: String,
}

impl Reply {
    /// The response with all of its body, if that comes to its end.
    pub(crate) async fn of(
        response: Response<CacheBody<Body>>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            trailers: collected.trailers().cloned(),
            body: String::from_utf8(collected.to_bytes().to_vec()).unwrap(),
        })
    }

    /// All lines of a field.
    pub(crate) fn field(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    }

    /// What this cache says of itself, without its name.
    pub(crate) fn cache_status(&self) -> &str {
        let status = *self.field("cache-status").last().expect("a Cache-Status");
        status.strip_prefix("tower-keep; ").unwrap()
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().starts_with("hit")
    }
}

/// Waits for what happens off the response's path.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
        // Not tokio's: its clock may stand still.
        std::thread::sleep(Duration::from_micros(200));
    }
    panic!("it never happens");
}
