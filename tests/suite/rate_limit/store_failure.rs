//! What happens while Redis does not answer.

use std::time::{Duration, Instant};

use serde_json::json;
use tower_keep::Store;
use tower_keep::rate_limit::{RateLimitDecision, RateLimitLayer, RateLimitOnStoreError};
use tower_keep::store::MemoryLimits;

use super::{limited, policy, request, statuses, store};
use crate::harness::redis::RedisServer;

fn layer(store: Store) -> RateLimitLayer {
    RateLimitLayer::new(store, policy(r#""hourly";q=10;w=3600"#))
}

/// A store whose server has never been there.
fn nowhere() -> Store {
    let mut redis = RedisServer::start();
    redis.kill();
    store(&redis)
}

#[tokio::test]
async fn by_default_each_process_enforces_the_quota_by_itself() {
    let service = limited(&layer(nowhere()));
    let first = request(&service).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.field("ratelimit-policy"), [r#""hourly";q=10;w=3600"#]);
    assert!(
        first
            .extensions
            .get::<RateLimitDecision>()
            .unwrap()
            .is_degraded()
    );
    assert_eq!(
        statuses(&service, 10).await,
        [[200; 9].as_slice(), &[429]].concat()
    );
}

#[tokio::test]
async fn a_share_of_the_quota_is_between_one_unit_and_all_of_it() {
    let store = nowhere();
    for (share, admitted) in [(0.3, 3), (0.0, 1), (9.0, 10)] {
        let local = layer(store.clone()).on_store_error(RateLimitOnStoreError::Local { share });
        let service = limited(&local);
        let first = request(&service).await;
        let field = format!(r#""hourly";q={admitted};w=3600"#);
        assert_eq!(first.field("ratelimit-policy"), [field]);
        let statuses = statuses(&service, 10).await;
        let count = 1 + statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(count, admitted, "{statuses:?}");
    }
}

#[tokio::test]
async fn allow_lets_all_requests_pass_and_tells_no_limit() {
    let service = limited(&layer(nowhere()).on_store_error(RateLimitOnStoreError::Allow));
    assert_eq!(statuses(&service, 20).await, [200; 20]);
    assert!(request(&service).await.field("ratelimit").is_empty());
}

#[tokio::test]
async fn deny_answers_503_with_a_time_to_come_again() {
    let service = limited(&layer(nowhere()).on_store_error(RateLimitOnStoreError::Deny));
    let denied = request(&service).await;
    assert_eq!(
        (denied.status.as_u16(), denied.retry_after()),
        (503, Some(1))
    );
    assert_eq!(denied.field("cache-control"), ["no-store"]);
    assert_eq!(
        denied.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "title": "Request cannot be satisfied due to temporary server capacity constraints",
            "status": 503,
            "violated-policies": [],
        })
    );
}

#[tokio::test]
async fn a_frozen_redis_holds_a_request_no_longer_than_the_deadline() {
    let redis = RedisServer::start();
    let service = limited(&layer(
        store(&redis).with_deadline(Duration::from_millis(200)),
    ));
    assert_eq!(statuses(&service, 1).await, [200]);
    redis.pause();
    let started = Instant::now();
    assert_eq!(statuses(&service, 10).await, [200; 10]);
    let taken = started.elapsed();
    redis.resume();
    // Ten deadlines would be two seconds: the first request pays it, the breaker spares the others.
    assert!(taken < Duration::from_millis(1_500), "{taken:?}");
}

#[tokio::test]
async fn a_restarted_redis_counts_again() {
    let mut redis = RedisServer::start();
    let service = limited(&layer(store(&redis)));
    let degraded = async || {
        let reply = request(&service).await;
        assert_eq!(reply.status, 200);
        reply
            .extensions
            .get::<RateLimitDecision>()
            .unwrap()
            .is_degraded()
    };
    assert!(!degraded().await);
    redis.kill();
    assert!(degraded().await);
    redis.restart();
    let patience = Instant::now() + Duration::from_secs(10);
    while redis.keys("*").is_empty() {
        assert!(Instant::now() < patience, "Redis is not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let reply = request(&service).await;
        assert!([200, 429].contains(&reply.status.as_u16()));
    }
}

#[tokio::test]
async fn a_state_that_memory_has_no_room_for_is_a_failure_of_the_store() {
    let cramped = || {
        let mut limits = MemoryLimits::default();
        limits.rate_limits = 256;
        Store::memory_within(&limits)
    };
    let local = limited(&layer(cramped()));
    let first = request(&local).await;
    let decision: &RateLimitDecision = first.extensions.get().unwrap();
    assert!(decision.is_degraded());
    assert_eq!(
        statuses(&local, 10).await,
        [[200; 9].as_slice(), &[429]].concat()
    );
    let allow = limited(&layer(cramped()).on_store_error(RateLimitOnStoreError::Allow));
    assert_eq!(statuses(&allow, 20).await, [200; 20]);
    let deny = limited(&layer(cramped()).on_store_error(RateLimitOnStoreError::Deny));
    let denied = request(&deny).await;
    assert_eq!(
        (denied.status.as_u16(), denied.retry_after()),
        (503, Some(1))
    );
}
