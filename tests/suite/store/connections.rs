//! What a call costs the server: its own commands, on a few shared connections.

use std::collections::BTreeMap;

use deadpool_redis::redis::AsyncConnectionConfig;
use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{PeerAddr, Store, rate_limit::RateLimitLayer, session::SessionLayer};

use super::{HOUR, PATIENT, answers_again, pool, store, users};
use crate::harness::redis::RedisServer;

fn clients(redis: &RedisServer) -> usize {
    let clients: String = redis.query(&["CLIENT", "LIST"]);
    // The harness' own is one of them.
    clients.lines().count() - 1
}

#[tokio::test]
async fn a_thousand_concurrent_calls_share_the_lanes_and_send_nothing_but_themselves() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    answers_again(&store).await;
    let users = users(&store);
    users.set(1, "ada", HOUR).await.unwrap();
    redis.reset_stats();
    let mut calls = JoinSet::new();
    for _ in 0..1_000 {
        let users = users.clone();
        calls.spawn(async move { users.get::<String>(1).await });
    }
    for result in calls.join_all().await {
        assert_eq!(result.unwrap().unwrap(), "ada");
    }
    assert_eq!(
        redis.command_calls(),
        BTreeMap::from([("get".to_owned(), 1_000)])
    );
    assert_eq!(clients(&redis), 2);
}

#[tokio::test]
async fn the_number_of_lanes_is_the_callers_choice_and_at_least_one() {
    for (asked, there) in [(0, 1), (1, 1), (4, 4)] {
        let redis = RedisServer::start();
        let pool = pool(&redis.url(), 2, AsyncConnectionConfig::new());
        let store = Store::redis_with_lanes(pool, asked).with_deadline(PATIENT);
        store.ping().await.unwrap();
        assert_eq!(clients(&redis), there);
    }
}

#[tokio::test]
async fn no_connection_is_held_while_the_inner_service_works() {
    let redis = RedisServer::start();
    let pool = pool(&redis.url(), 1, AsyncConnectionConfig::new());
    let store = Store::redis(pool.clone()).with_deadline(PATIENT);
    let handler = service_fn(move |_: Request<String>| {
        let pool = pool.clone();
        async move {
            // The only one there is.
            let _connection = pool.get().await.unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        }
    });
    let limit = RateLimitLayer::new(store.clone(), r#""hour";q=10;w=3600"#.parse().unwrap());
    let service = limit.layer(SessionLayer::new(store).layer(handler));
    for _ in 0..3 {
        let mut request = Request::new(String::new());
        let peer = PeerAddr(([192, 0, 2, 1], 1).into());
        request.extensions_mut().insert(peer);
        let call = service.clone().oneshot(request);
        let response = tokio::time::timeout(PATIENT, call).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
    }
}
