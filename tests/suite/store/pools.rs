//! Pools of the application's, with settings of its own.

use std::time::Duration;

use deadpool_redis::redis::AsyncConnectionConfig;
use tokio::{task::JoinSet, time::sleep};
use tower_keep::{Store, store::StoreState};

use super::{HOUR, PATIENT, answers_again, pool, users};
use crate::harness::{proxy::Proxy, redis::RedisServer};

fn plain() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
}

#[tokio::test]
async fn a_pools_own_response_timeout_does_not_cut_the_deadline() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let hasty = plain().set_response_timeout(Some(Duration::from_millis(100)));
    let pool = pool(&format!("redis://{}", proxy.addr()), 4, hasty);
    let store = Store::redis(pool).with_deadline(PATIENT);
    answers_again(&store).await;
    proxy.delay(Duration::from_millis(200), Duration::from_millis(200));
    store.ping().await.unwrap();
}

#[tokio::test]
async fn calls_queue_within_a_pools_own_concurrency_limit() {
    let redis = RedisServer::start();
    let pool = pool(&redis.url(), 4, plain().set_concurrency_limit(1));
    let store = Store::redis(pool).with_deadline(PATIENT);
    let mut calls = JoinSet::new();
    for _ in 0..300 {
        let store = store.clone();
        calls.spawn(async move { store.ping().await });
    }
    for result in calls.join_all().await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_pool_of_one_connection_is_enough_and_stays_the_applications() {
    let redis = RedisServer::start();
    let pool = pool(&redis.url(), 1, plain());
    let store = Store::redis(pool.clone()).with_deadline(PATIENT);
    store.ping().await.unwrap();
    let connection = pool.get().await.unwrap();
    for _ in 0..100 {
        store.ping().await.unwrap();
    }
    drop(connection);
}

#[tokio::test]
async fn a_store_whose_pool_is_all_in_use_waits_for_a_connection_to_come_back() {
    let redis = RedisServer::start();
    let pool = pool(&redis.url(), 1, plain());
    let taken = pool.get().await.unwrap();
    let store = Store::redis(pool).with_deadline(Duration::from_millis(100));
    store.ping().await.unwrap_err();
    assert_eq!(store.state(), StoreState::Unavailable);
    drop(taken);
    answers_again(&store).await;
}

#[tokio::test]
async fn dead_connections_that_idle_in_the_pool_do_not_hold_up_the_return() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let patient = plain().set_response_timeout(None);
    let pool = pool(&format!("redis://{}", proxy.addr()), 32, patient);
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(pool.get().await.unwrap());
    }
    drop(idle);
    let store = Store::redis(pool).with_deadline(Duration::from_millis(300));
    answers_again(&store).await;
    proxy.blackhole();
    store.ping().await.unwrap_err();
    // Each of the 32 would cost an attempt of half a second.
    sleep(Duration::from_secs(2)).await;
    proxy.open();
    let taken = answers_again(&store).await;
    assert!(taken < Duration::from_secs(3), "{taken:?}");
}

#[tokio::test]
async fn the_newer_protocol_works_as_well() {
    let redis = RedisServer::start();
    let pool = pool(&format!("{}?protocol=resp3", redis.url()), 4, plain());
    let store = Store::redis(pool).with_deadline(PATIENT);
    let users = users(&store);
    users.set(1, "ada", HOUR).await.unwrap();
    assert_eq!(users.get::<String>(1).await.unwrap().unwrap(), "ada");
    assert_eq!(users.get::<String>(2).await.unwrap(), None);
    assert!(users.del(1).await.unwrap());
    assert!(!users.exists(1).await.unwrap());
}
