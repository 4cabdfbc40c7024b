//! Reservations are settled once, whoever leaves, panics or fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_keep::rate_limit::{
    BanPolicy, RateLimitDecision, RateLimitLayer, RateLimitOnStoreError, RateLimiter,
};

use super::stand::Stand;
use super::{Body, from, policy};
use crate::harness::redis::RedisServer;
use crate::harness::{eventually, on_all_stores};

const ALGORITHMS: [&str; 3] = ["gcra", "fixed", "sliding"];

fn daily(algorithm: &str) -> String {
    format!(r#""units-{algorithm}";q=100;w=864000;alg={algorithm}"#)
}

on_all_stores!(
    a_handler_that_panics_is_settled_once,
    a_handler_that_fails_is_settled_once,
    a_client_who_leaves_at_any_await_is_settled_once,
    a_request_that_is_answered_is_not_settled_as_abandoned,
    a_settlement_under_way_is_finished_without_its_caller,
    refunds_leave_no_more_than_there_was,
    a_refund_after_its_units_have_come_back_takes_none_of_what_others_were_charged,
    a_cost_beyond_what_is_left_is_taken_at_once_and_violates_nothing,
);

async fn a_cost_beyond_what_is_left_is_taken_at_once_and_violates_nothing(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (within, lasting) = (Duration::from_secs(60), Duration::from_secs(600));
        let ban = BanPolicy::new("abuse", 2, within, lasting).unwrap();
        let limiter = stand.limiter(&daily(algorithm)).with_ban(ban).unwrap();
        let limiter = limiter.with_max_wait(Duration::from_secs(864_000), 10);
        let key = format!("ada {algorithm}");
        let first = limiter.reserve(&key, 1).await.unwrap();
        let second = limiter.reserve(&key, 1).await.unwrap();
        for permit in [first, second] {
            let settled = tokio::time::timeout(Duration::from_secs(20), permit.settle(100));
            settled.await.expect("nothing waits").unwrap();
            let seen = limiter.peek(&key).await.unwrap();
            assert_eq!(seen.tightest().unwrap().remaining(), 0);
            assert!(!seen.is_banned(), "{algorithm}");
        }
    }
}

#[tokio::test]
async fn what_was_reserved_in_this_process_is_settled_there() {
    let mut redis = RedisServer::start();
    let limiter = RateLimiter::new(super::store(&redis), policy(&daily("gcra")));
    let share = RateLimitOnStoreError::Local { share: 0.5 };
    let limiter = limiter.on_store_error(share);
    assert!(limiter.acquire("ada", 0).await.is_ok());
    redis.kill();
    let permit = limiter.reserve("ada", 10).await.unwrap();
    assert!(permit.is_degraded());
    redis.restart();
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while limiter.peek("ada").await.unwrap().is_degraded() {
        assert!(
            std::time::Instant::now() < patience,
            "Redis is not found again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(permit.settle(30).await.unwrap());
    let seen = limiter.peek("ada").await.unwrap();
    assert_eq!(seen.tightest().unwrap().remaining(), 100);
    redis.kill();
    let seen = limiter.peek("ada").await.unwrap();
    assert!(seen.is_degraded());
    assert_eq!(seen.tightest().unwrap().remaining(), 20);
}

/// Reserves ten units, of which an abandoned request costs one.
fn layer(stand: &Stand, algorithm: &str) -> (RateLimitLayer, RateLimiter) {
    let limiter = stand.limiter(&daily(algorithm));
    let layer = RateLimitLayer::from_limiter(limiter.clone()).with_cost(|_| 10);
    (layer.with_abandoned_cost(|_| 1), limiter)
}

/// What is left, seen by a request that costs nothing.
async fn left(layer: &RateLimitLayer) -> u64 {
    let looking = layer.clone().with_cost(|_| 0);
    let service = looking.layer(service_fn(async |request: Request<Body>| {
        let decision = request.extensions().get::<RateLimitDecision>();
        let left = decision.unwrap().tightest().unwrap().remaining();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(left.to_string()))))
    }));
    let response = service.oneshot(request()).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    let text = body.unwrap().to_bytes();
    std::str::from_utf8(&text).unwrap().parse().unwrap()
}

fn request() -> Request<Body> {
    from("192.0.2.1").body(Body::default()).unwrap()
}

/// That it becomes `expected` and stays so.
async fn assert_left(layer: &RateLimitLayer, expected: u64, what: &str) {
    eventually(what, async || left(layer).await == expected).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(left(layer).await, expected, "{what}");
}

async fn a_handler_that_panics_is_settled_once(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (layer, _) = layer(&stand, algorithm);
        // In the call itself, and later.
        for later in [false, true] {
            let service = layer.layer(service_fn(move |_: Request<Body>| {
                assert!(later, "a handler that panics at once");
                async move {
                    tokio::task::yield_now().await;
                    assert!(!later, "a handler that panics later");
                    Ok::<_, Infallible>(Response::new(Body::default()))
                }
            }));
            let task = tokio::spawn(service.oneshot(request()));
            assert!(task.await.unwrap_err().is_panic());
        }
        assert_left(&layer, 98, algorithm).await;
        stand.assert_tidy();
    }
}

async fn a_handler_that_fails_is_settled_once(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (layer, _) = layer(&stand, algorithm);
        let service = layer.layer(service_fn(async |_: Request<Body>| {
            Err::<Response<Body>, _>("no answer")
        }));
        assert!(service.oneshot(request()).await.is_err());
        assert_left(&layer, 99, algorithm).await;
    }
}

/// Dropped after each number of polls: before anything is sent nothing is charged; what was sent and
/// never got as far as the handler stays charged; the handler's requests cost one unit.
async fn a_client_who_leaves_at_any_await_is_settled_once(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (layer, _) = layer(&stand, algorithm);
        let called = Arc::new(AtomicU64::new(0));
        let service = layer.layer(service_fn(|_: Request<Body>| {
            called.fetch_add(1, Ordering::Relaxed);
            async {
                std::future::pending::<()>().await;
                Ok::<_, Infallible>(Response::new(Body::default()))
            }
        }));
        let mut expected = 100;
        for polls in 1..8_u32 {
            let before = called.load(Ordering::Relaxed);
            let mut future = Box::pin(service.clone().oneshot(request()));
            for n in 0..polls {
                let pause = match n {
                    // Long enough for the answer of a store.
                    3 => Duration::from_millis(100),
                    _ => Duration::ZERO,
                };
                assert!(tokio::time::timeout(pause, &mut future).await.is_err());
            }
            drop(future);
            let reached = called.load(Ordering::Relaxed) > before;
            // Without the handler it may have been charged or not.
            if reached {
                expected = expected.min(left_settled(&layer, expected, 1).await);
            } else {
                expected = left_settled(&layer, expected, 10).await;
            }
        }
        assert!(called.load(Ordering::Relaxed) > 0);
        stand.assert_tidy();
    }
}

/// What is left when nothing changes any more: `before` or `cost` less.
async fn left_settled(layer: &RateLimitLayer, before: u64, cost: u64) -> u64 {
    let allowed = |left| left == before || left == before - cost;
    let (mut last, mut same) = (left(layer).await, 0);
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = left(layer).await;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same >= 8 && allowed(now) {
            return now;
        }
    }
    panic!("{last} left of {before}, expected {cost} less at most");
}

async fn a_request_that_is_answered_is_not_settled_as_abandoned(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (layer, _) = layer(&stand, algorithm);
        let handler = service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::new(Body::default()))
        });
        let mut service = layer.layer(handler);
        drop(
            service
                .ready()
                .await
                .unwrap()
                .call(request())
                .await
                .unwrap(),
        );
        assert_left(&layer, 90, algorithm).await;
        let settled = layer.with_settled_cost(|_, charged| charged / 2);
        let mut service = settled.layer(handler);
        drop(
            service
                .ready()
                .await
                .unwrap()
                .call(request())
                .await
                .unwrap(),
        );
        assert_left(&settled, 85, algorithm).await;
    }
}

/// A handler that is dropped while it settles.
async fn a_settlement_under_way_is_finished_without_its_caller(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(algorithm));
        let mut expected = 100;
        for polls in 1..5 {
            let permit = limiter.reserve("ada", 10).await.unwrap();
            let mut settle = Box::pin(permit.settle(3));
            for _ in 0..polls {
                if tokio::time::timeout(Duration::ZERO, &mut settle)
                    .await
                    .is_ok()
                {
                    break;
                }
            }
            drop(settle);
            assert!(!permit.settle(0).await.unwrap(), "only once");
            expected -= 3;
            eventually(algorithm, async || {
                let seen = limiter.peek("ada").await.unwrap();
                seen.tightest().unwrap().remaining() == expected
            })
            .await;
        }
        stand.assert_tidy();
    }
}

/// Thousands of refunds in one window take no room: what was given back is forgotten.
async fn refunds_leave_no_more_than_there_was(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = RateLimiter::new(stand.store.clone(), policy(&daily(algorithm)));
        for _ in 0..400 {
            let permit = limiter.reserve("ada", 1).await.unwrap();
            assert!(permit.is_admitted());
            assert!(permit.settle(0).await.unwrap());
        }
        let seen = limiter.peek("ada").await.unwrap();
        assert_eq!(seen.tightest().unwrap().remaining(), 100);
        let Some(backend) = &stand.backend else {
            continue;
        };
        for key in backend.keys(&format!("keep:rate_limit:*:units-{algorithm}:*")) {
            let bytes: u64 = backend.query(&["MEMORY", "USAGE", &key]);
            assert!(bytes < 400, "{algorithm}: {bytes} bytes");
        }
    }
}

/// The state is the same one all the time, since it is never idle for long enough to end.
async fn a_refund_after_its_units_have_come_back_takes_none_of_what_others_were_charged(
    stand: Stand,
) {
    for algorithm in ALGORITHMS {
        let item = format!(r#""short-{algorithm}";q=200;w=2;alg={algorithm}"#);
        let limiter = stand.limiter(&item).with_denial_recheck(Duration::ZERO);
        let early = limiter.reserve("ada", 100).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(limiter.acquire("ada", 100).await.unwrap().is_admitted());
        tokio::time::sleep(Duration::from_millis(900)).await;
        // Of the first hundred nothing is charged any more.
        while limiter.acquire("ada", 20).await.unwrap().is_admitted() {}
        let used = 200
            - limiter
                .peek("ada")
                .await
                .unwrap()
                .tightest()
                .unwrap()
                .remaining();
        assert!(early.settle(0).await.unwrap());
        let seen = limiter.peek("ada").await.unwrap();
        let still = 200 - seen.tightest().unwrap().remaining();
        // But for what comes back by time meanwhile.
        assert!(
            still + 60 > used,
            "{algorithm}: {used} used, and then {still}"
        );
    }
}
