//! Denials that cost Redis nothing.

use std::time::{Duration, Instant};

use tower_keep::rate_limit::{Key, RateLimitLayer};

use super::stand::Stand;
use super::{from, limited, policy, request, send, statuses, store};
use crate::harness::redis::RedisServer;

fn evaluations(redis: &RedisServer) -> u64 {
    let calls = redis.command_calls();
    ["eval", "evalsha"]
        .iter()
        .filter_map(|name| calls.get(*name))
        .sum()
}

#[tokio::test]
async fn a_thousand_repeats_of_a_denied_request_cost_one_command_and_other_subjects_theirs() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""hourly";q=2;w=3600"#));
    let service = limited(&layer);
    assert_eq!(statuses(&service, 2).await, [200, 200]);
    redis.reset_stats();
    for _ in 0..1_000 {
        let denied = request(&service).await;
        assert_eq!(denied.status, 429);
        assert!((1_790..=1_800).contains(&denied.retry_after().unwrap()));
        assert!(denied.field("ratelimit")[0].starts_with(r#""hourly";r=0;t=1"#));
    }
    assert_eq!(evaluations(&redis), 1, "{:?}", redis.command_calls());
    assert_eq!(send(&service, from("192.0.2.2")).await.status, 200);
    assert_eq!(evaluations(&redis), 2);
}

#[tokio::test]
async fn a_flush_is_seen_by_one_request_that_asks_again() {
    const RECHECK: Duration = Duration::from_secs(1);
    for alg in ["gcra", "fixed"] {
        let redis = RedisServer::start();
        let policy = policy(&format!(r#""day";q=2;w=86400;alg={alg}"#));
        let layer = RateLimitLayer::new(store(&redis), policy).with_denial_recheck(RECHECK);
        let service = limited(&layer);
        assert_eq!(statuses(&service, 3).await, [200, 200, 429]);
        let denied_at = Instant::now();
        redis.command(&["FLUSHALL"]);
        redis.reset_stats();
        let mut denied = 0;
        while request(&service).await.status == 429 {
            denied += 1;
            assert!(denied_at.elapsed() < 10 * RECHECK, "the flush is not seen");
        }
        assert!(denied_at.elapsed() + Duration::from_millis(50) >= RECHECK);
        assert_eq!(evaluations(&redis), 1, "{denied} denials meanwhile");
        // What it has learned holds for all.
        assert_eq!(statuses(&service, 2).await, [200, 429]);
    }
}

#[tokio::test(start_paused = true)]
async fn five_seconds_after_a_denial_one_request_asks_again() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""day";q=2;w=86400"#));
    let service = limited(&layer);
    // Redis answers in its own time.
    tokio::time::resume();
    assert_eq!(statuses(&service, 3).await, [200, 200, 429]);
    tokio::time::pause();
    redis.reset_stats();
    tokio::time::advance(Duration::from_millis(4_500)).await;
    assert_eq!(statuses(&service, 100).await, [429; 100]);
    assert_eq!(evaluations(&redis), 0);
    tokio::time::advance(Duration::from_millis(600)).await;
    tokio::time::resume();
    for _ in 0..1_000 {
        assert_eq!(request(&service).await.status, 429);
    }
    assert_eq!(evaluations(&redis), 1);
}

#[tokio::test]
async fn without_an_interval_every_request_asks() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""day";q=2;w=86400"#));
    let service = limited(&layer.with_denial_recheck(Duration::ZERO));
    redis.command(&["PING"]);
    statuses(&service, 2).await;
    redis.reset_stats();
    assert_eq!(statuses(&service, 5).await, [429; 5]);
    assert_eq!(evaluations(&redis), 5);
}

#[tokio::test]
async fn a_request_that_can_never_fit_is_denied_without_asking_again() {
    let redis = RedisServer::start();
    let store = store(&redis);
    store.ping().await.unwrap();
    let layer = RateLimitLayer::new(store, policy(r#""hourly";q=2;w=3600"#));
    let service = limited(&layer.with_cost(|_| 3));
    redis.reset_stats();
    for _ in 0..100 {
        let denied = request(&service).await;
        assert_eq!((denied.status.as_u16(), denied.retry_after()), (429, None));
    }
    assert_eq!(evaluations(&redis), 1, "{:?}", redis.command_calls());
}

#[tokio::test]
async fn an_allowed_request_costs_one_command_whatever_the_number_of_policies() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""a";q=100;w=60"#))
        .and_policy(policy(r#""b";q=1000;w=3600"#))
        .unwrap()
        .and_policy(policy(r#""c";q=10000;w=86400;alg=fixed"#))
        .unwrap();
    let service = limited(&layer);
    assert_eq!(statuses(&service, 1).await, [200]);
    redis.reset_stats();
    assert_eq!(statuses(&service, 10).await, [200; 10]);
    let calls = redis.command_calls();
    assert_eq!(calls["evalsha"], 10);
    let sent = [
        "evalsha", "time", "hget", "hmget", "hset", "hincrby", "pexpire",
    ];
    assert!(
        calls.keys().all(|name| sent.contains(&name.as_str())),
        "{calls:?}"
    );
}

super::stand::on_memory_and_redis!(
    a_denial_ends_when_it_said_and_a_retry_on_time_is_admitted,
    a_reset_by_its_limiter_ends_what_a_layer_denies,
);

async fn a_denial_ends_when_it_said_and_a_retry_on_time_is_admitted(stand: Stand) {
    let layer = RateLimitLayer::from_limiter(stand.limiter(r#""second";q=1;w=1"#));
    let service = limited(&layer);
    for _ in 0..2 {
        assert_eq!(request(&service).await.status, 200);
        let denied = request(&service).await;
        assert_eq!(
            (denied.status.as_u16(), denied.retry_after()),
            (429, Some(1))
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_repeated_denial_count_down() {
    let service = limited(&super::in_memory(r#""fixed";q=1;w=10;alg=fixed"#));
    assert_eq!(statuses(&service, 1).await, [200]);
    for elapsed in 0..10 {
        tokio::time::advance(Duration::from_millis(if elapsed == 0 {
            500
        } else {
            1_000
        }))
        .await;
        let denied = request(&service).await;
        assert_eq!(denied.retry_after(), Some(10 - elapsed));
        let expected = format!(r#""fixed";r=0;t={}"#, 10 - elapsed);
        assert_eq!(denied.field("ratelimit"), [expected]);
    }
    tokio::time::advance(Duration::from_millis(600)).await;
    assert_eq!(statuses(&service, 1).await, [200]);
}

#[tokio::test]
async fn repeats_of_a_dearer_request_are_denied_after_a_cheaper_one_was() {
    let redis = RedisServer::start();
    let limiter = tower_keep::rate_limit::RateLimiter::new(
        store(&redis),
        policy(r#""q";q=10;w=3600;alg=sliding"#),
    );
    assert!(limiter.acquire("ada", 10).await.unwrap().is_admitted());
    assert!(!limiter.acquire("ada", 1).await.unwrap().is_admitted());
    redis.reset_stats();
    for _ in 0..1_000 {
        assert!(!limiter.acquire("ada", 2).await.unwrap().is_admitted());
    }
    assert_eq!(evaluations(&redis), 1);
}

async fn a_reset_by_its_limiter_ends_what_a_layer_denies(stand: Stand) {
    let limiter = stand.limiter(r#""day";q=1;w=86400"#);
    let layer = RateLimitLayer::from_limiter(limiter.clone()).with_key(Key::global());
    let service = limited(&layer);
    assert_eq!(statuses(&service, 3).await, [200, 429, 429]);
    let (asked, ()) = from("192.0.2.1").body(()).unwrap().into_parts();
    limiter.reset_request(&Key::global(), &asked).await.unwrap();
    assert_eq!(statuses(&service, 2).await, [200, 429]);
}
