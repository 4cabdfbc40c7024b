//! Scripts: unknown to the server, or not allowed to be loaded.

use futures_util::future::join_all;
use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    PeerAddr, Store,
    rate_limit::{RateLimitDecision, RateLimitLayer},
};

use super::{HOUR, PATIENT, answers_again, store, users};
use crate::harness::{proxy::Proxy, redis::RedisServer};

/// How many of `count` concurrent requests a limit of 300 an hour admits.
async fn admitted(store: &Store, count: usize) -> usize {
    let limit = RateLimitLayer::new(store.clone(), r#""hour";q=300;w=3600"#.parse().unwrap());
    let service = limit.layer(service_fn(async |_: Request<String>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let mut request = Request::new(String::new());
        let peer = PeerAddr(([192, 0, 2, 1], 1).into());
        request.extensions_mut().insert(peer);
        requests.spawn(service.clone().oneshot(request));
    }
    let mut admitted = 0;
    for response in requests.join_all().await {
        let response = response.unwrap();
        if let Some(decision) = response.extensions().get::<RateLimitDecision>() {
            assert!(!decision.is_degraded());
        }
        admitted += usize::from(response.status() == 200);
    }
    admitted
}

#[tokio::test]
async fn scripts_that_were_flushed_are_sent_again_together() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&format!("redis://{}", proxy.addr()), PATIENT);
    answers_again(&store).await;
    let users = users(&store);
    users.set(0, "ada", HOUR).await.unwrap();
    redis.flush_scripts();
    let before = proxy.round_trips();
    let writes = (0..64).map(|id| users.set(id, "ada", HOUR));
    for result in join_all(writes).await {
        result.unwrap();
    }
    let round_trips = proxy.round_trips() - before;
    // On each of two connections the calls, and once more by their sources.
    assert!(round_trips <= 8, "{round_trips}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_again_and_again_cost_no_error_and_no_count() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    answers_again(&store).await;
    let users = users(&store);
    let flushes = tokio::task::spawn_blocking(move || {
        for _ in 0..200 {
            redis.flush_scripts();
        }
        redis
    });
    let mut writes = JoinSet::new();
    for id in 0..500 {
        let users = users.clone();
        writes.spawn(async move { users.set(id, "ada", HOUR).await });
    }
    assert_eq!(admitted(&store, 500).await, 300);
    for result in writes.join_all().await {
        result.unwrap();
    }
    let redis = flushes.await.unwrap();
    assert_eq!(redis.keys("keep:user:*").len(), 500);
}

#[tokio::test]
async fn a_user_who_may_not_load_scripts_runs_them_by_their_source() {
    let rules = "~keep:* +@all -@dangerous -script";
    let redis = RedisServer::config()
        .acl_user("app", "p@ss:w/rd%", rules)
        .start();
    let store = store(&redis.url(), PATIENT);
    assert_eq!(admitted(&store, 310).await, 300);
    users(&store).set(1, "ada", HOUR).await.unwrap();
    // By its source until the server knows it, by its digest then.
    redis.reset_stats();
    assert_eq!(admitted(&store, 310).await, 0);
    let calls = redis.command_calls();
    assert!(
        calls.contains_key("evalsha") && !calls.contains_key("eval"),
        "{calls:?}"
    );
}
