//! The contract between a Tower service and the one inside it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_keep::{Store, cache::CacheLayer};

use super::stand::request;

/// Ready once per `poll_ready`, as a service with a limit is; its clones start unready.
#[derive(Default)]
struct StatefulInner(bool);

impl Clone for StatefulInner {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<String>> for StatefulInner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without being ready");
        let cache_control = match request.uri().path() {
            "/fresh" => "max-age=60",
            "/stale" => "max-age=1, stale-while-revalidate=60",
            _ => "no-store",
        };
        let mut response = Response::default();
        let fields = [("cache-control", cache_control), ("etag", "\"a\"")];
        for (name, value) in fields {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        ready(Ok(response))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_is_ready_is_the_one_called_on_every_path() {
    let mut service = CacheLayer::new(Store::memory()).layer(StatefulInner::default());
    for _ in 0..3 {
        for path in ["/fresh", "/stale", "/never"] {
            for (method, lines) in [
                ("GET", &[][..]),
                ("GET", &[("cache-control", "no-cache")]),
                ("GET", &[("authorization", "x")]),
                ("GET", &[("upgrade", "websocket")]),
                ("HEAD", &[]),
                ("POST", &[]),
            ] {
                service.ready().await.unwrap();
                let clone = service.clone();
                service.call(request(method, path, lines)).await.unwrap();
                clone.oneshot(request(method, path, lines)).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_served_while_the_inner_service_is_not_ready() {
    let (inner, mut handle) = tower_test::mock::pair::<Request<String>, Response<Full<Bytes>>>();
    let service = CacheLayer::new(Store::memory()).layer(inner);
    handle.allow(1);
    let first = tokio::spawn(service.clone().oneshot(request("GET", "/", &[])));
    let (_, send) = handle.next_request().await.unwrap();
    let response = Response::builder().header("cache-control", "max-age=60");
    send.send_response(response.body(Full::from("body")).unwrap());
    first.await.unwrap().unwrap();

    handle.allow(0);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let hit = service.clone().oneshot(request("GET", "/", &[])).await;
    let status = hit.unwrap().headers()["cache-status"].clone();
    assert_eq!(status, "tower-keep; hit; ttl=60");
    let miss = service.oneshot(request("GET", "/other", &[]));
    let waits = tokio::time::timeout(Duration::from_secs(60), miss).await;
    assert!(waits.is_err(), "a miss waits for the inner service");
}
