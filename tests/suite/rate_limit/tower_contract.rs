//! Tower's contract: only the service that was made ready is called, and only for what was admitted.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_keep::Store;
use tower_keep::rate_limit::{MissingKey, RateLimitLayer, RateLimitOnStoreError};

use super::{in_memory, policy, store};
use crate::harness::redis::RedisServer;

/// Panics when it is called without having been made ready. A clone is not ready.
#[derive(Default)]
struct StatefulInner {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for StatefulInner {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: self.calls.clone(),
        }
    }
}

impl Service<Request<()>> for StatefulInner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::default()))
    }
}

/// The statuses of requests in a row on one service, and how often the inner one was called.
async fn drive(layer: &RateLimitLayer, requests: usize) -> (Vec<u16>, usize) {
    let inner = StatefulInner::default();
    let calls = inner.calls.clone();
    let mut service = layer.layer(inner);
    let mut statuses = Vec::new();
    for _ in 0..requests {
        let response = service.ready().await.unwrap().call(Request::default());
        statuses.push(response.await.unwrap().status().as_u16());
    }
    (statuses, calls.load(Ordering::Relaxed))
}

#[tokio::test]
async fn only_the_readied_service_is_called_on_every_path() {
    let redis = RedisServer::start();
    let item = policy(r#""two";q=2;w=60"#);
    let denied_twice = (vec![200, 200, 429, 429], 2);
    let layer = in_memory(r#""two";q=2;w=60"#);
    assert_eq!(drive(&layer, 4).await, denied_twice);
    let over_redis = RateLimitLayer::new(store(&redis), item.clone());
    assert_eq!(drive(&over_redis, 4).await, denied_twice);

    let passes = (vec![200; 4], 4);
    assert_eq!(drive(&layer.clone().with_skip(|_| true), 4).await, passes);
    let skip = layer.clone().on_missing_key(MissingKey::Skip);
    assert_eq!(drive(&skip, 4).await, passes);
    let deny = layer.on_missing_key(MissingKey::Deny);
    assert_eq!(drive(&deny, 2).await, (vec![400, 400], 0));

    let nowhere = || {
        let mut redis = RedisServer::start();
        redis.kill();
        RateLimitLayer::new(store(&redis), item.clone())
    };
    assert_eq!(drive(&nowhere(), 4).await, denied_twice);
    let allow = nowhere().on_store_error(RateLimitOnStoreError::Allow);
    assert_eq!(drive(&allow, 4).await, passes);
    let deny = nowhere().on_store_error(RateLimitOnStoreError::Deny);
    assert_eq!(drive(&deny, 2).await, (vec![503, 503], 0));
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let (service, mut handle) = tower_test::mock::pair::<Request<()>, Response<Full<Bytes>>>();
    let mut service = tower_test::mock::Spawn::new(in_memory(r#""a";q=1;w=1"#).layer(service));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    handle.send_error("broken");
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(_))));
}

#[tokio::test]
async fn errors_and_bodies_of_the_inner_service_pass_unchanged() {
    let failing = tower::service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("mine"))
    });
    let layer = in_memory(r#""a";q=1;w=1"#);
    let error: std::io::Error = layer
        .layer(failing)
        .oneshot(Request::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "mine");
}

#[test]
fn everything_is_send_sync_and_no_larger_than_it_needs_to_be() {
    fn assert_send_sync<T: Send + Sync + Clone + 'static>(_: &T) {}
    let layer = RateLimitLayer::new(Store::memory(), policy(r#""a";q=1;w=1"#));
    assert_send_sync(&layer);
    assert_send_sync(&layer.layer(StatefulInner::default()));
    fn assert_send<T: Send>(_: &T) {}
    assert_send(
        &layer
            .layer(StatefulInner::default())
            .oneshot(Request::default()),
    );
}
