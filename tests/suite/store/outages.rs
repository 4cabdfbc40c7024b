//! A server that stops, dies, comes back, is demoted, or is not reached.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tower_keep::{
    StoreError,
    key_value::SetError,
    store::{RefusalKind, StoreState},
};

use super::{
    HOUR, PATIENT, answers_again, assert_late, assert_refused_at_once, is_open, store, users,
};
use crate::harness::{eventually, proxy::Proxy, redis::RedisServer};

const DEADLINE: Duration = Duration::from_millis(400);

fn url(addr: SocketAddr) -> String {
    format!("redis://{addr}")
}

#[tokio::test]
async fn a_stopped_server_costs_the_deadline_once_and_is_found_again_by_itself() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), DEADLINE);
    answers_again(&store).await;
    redis.pause();
    assert_late(&store.ping().await);
    for _ in 0..1_000 {
        assert_refused_at_once(&store.ping().await);
    }
    assert_eq!(store.state(), StoreState::Unavailable);
    redis.resume();
    // No call asks for it.
    let resumed = Instant::now();
    while store.state() != StoreState::Ready {
        assert!(resumed.elapsed() < PATIENT, "{store:?}");
        sleep(Duration::from_millis(1)).await;
    }
    store.ping().await.unwrap();
}

#[tokio::test]
async fn calls_under_way_when_the_server_stops_pay_one_deadline_together() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), DEADLINE);
    answers_again(&store).await;
    redis.pause();
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let store = store.clone();
        calls.spawn(async move { store.ping().await });
    }
    for result in calls.join_all().await {
        assert_late(&result);
    }
    assert!(start.elapsed() < DEADLINE * 4, "{:?}", start.elapsed());
    redis.resume();
}

#[tokio::test]
async fn the_deadline_covers_connecting() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    proxy.blackhole();
    let store = store(&url(proxy.addr()), DEADLINE);
    assert_late(&store.ping().await);
    assert_refused_at_once(&store.ping().await);
    proxy.open();
    answers_again(&store).await;
}

#[tokio::test]
async fn a_partition_costs_the_deadline_once_and_ends_by_itself() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&url(proxy.addr()), DEADLINE);
    answers_again(&store).await;
    proxy.blackhole();
    assert_late(&store.ping().await);
    assert_refused_at_once(&store.ping().await);
    // Long enough for a few attempts on new connections.
    sleep(Duration::from_millis(1_500)).await;
    assert_refused_at_once(&store.ping().await);
    proxy.open();
    answers_again(&store).await;
}

#[tokio::test]
async fn a_long_deadline_waits_longer_than_the_clients_own_timeout() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&url(proxy.addr()), PATIENT);
    answers_again(&store).await;
    // redis-rs gives up after half a second by default.
    proxy.delay(Duration::from_millis(400), Duration::from_millis(400));
    store.ping().await.unwrap();
    assert_eq!(store.state(), StoreState::Ready);
}

#[tokio::test]
async fn any_deadline_is_taken_the_longest_too() {
    let redis = RedisServer::start();
    store(&redis.url(), Duration::MAX).ping().await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_restarted_between_two_calls_costs_neither_an_error() {
    let mut redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    let users = users(&store);
    for round in 0..3 {
        users.set(round, "ada", HOUR).await.unwrap();
        redis.restart();
        users.set(round, "bob", HOUR).await.unwrap();
        assert_eq!(users.get::<String>(round).await.unwrap().unwrap(), "bob");
    }
}

#[tokio::test]
async fn a_killed_server_is_found_within_a_second_of_its_return() {
    let mut redis = RedisServer::start();
    let store = store(&redis.url(), DEADLINE);
    answers_again(&store).await;
    redis.kill();
    is_open(&store).await;
    assert_refused_at_once(&store.ping().await);
    // The pauses between the attempts have reached their longest.
    sleep(Duration::from_millis(600)).await;
    redis.restart();
    let taken = answers_again(&store).await;
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

#[tokio::test]
async fn lost_connections_are_replaced_without_an_error() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&url(proxy.addr()), PATIENT);
    for _ in 0..10 {
        store.ping().await.unwrap();
        proxy.drop_connections();
    }
}

#[tokio::test]
async fn a_demoted_server_answers_what_only_reads_until_it_is_promoted() {
    let (redis, master) = (RedisServer::start(), RedisServer::start());
    let store = store(&redis.url(), PATIENT);
    let users = users(&store);
    users.set(1, "ada", HOUR).await.unwrap();
    redis.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    // Its master has nothing of this, and a link that is up.
    eventually("the replica follows", async || {
        let role: String = redis.query(&["INFO", "replication"]);
        role.contains("master_link_status:up")
    })
    .await;
    for _ in 0..10 {
        match users.set(1, "bob", HOUR).await {
            Err(SetError::Store(StoreError::Refused { kind, .. })) => {
                assert_eq!(kind, RefusalKind::ReadOnly);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(users.get::<String>(1).await.unwrap(), None);
        assert_eq!(store.state(), StoreState::Degraded);
    }
    assert_eq!(store.refusals(), [RefusalKind::ReadOnly]);
    // A store that is new finds the replica, too.
    let late = super::store(&redis.url(), PATIENT);
    assert_eq!(super::users(&late).get::<String>(1).await.unwrap(), None);
    assert_eq!(late.state(), StoreState::Degraded);
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    eventually("a write", async || users.set(1, "eve", HOUR).await.is_ok()).await;
    for store in [&store, &late] {
        eventually("all is well", async || store.state() == StoreState::Ready).await;
    }
}

#[tokio::test]
async fn a_demoted_server_that_does_not_tell_its_role_is_not_stormed() {
    let master = RedisServer::start();
    let rules = "~keep:* +@all -@dangerous";
    let redis = RedisServer::config()
        .acl_user("app", "secret", rules)
        .start();
    let store = store(&redis.url(), DEADLINE);
    let users = users(&store);
    users.set(1, "ada", HOUR).await.unwrap();
    redis.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    redis.reset_stats();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert!(users.set(1, "bob", HOUR).await.is_err());
    }
    let stats: String = redis.query(&["INFO", "stats"]);
    let received = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    let connections: u32 = received.unwrap().trim().parse().unwrap();
    assert!((1..200).contains(&connections), "{connections} connections");
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    answers_again(&store).await;
    users.set(1, "eve", HOUR).await.unwrap();
}

#[tokio::test]
async fn a_server_without_room_for_connections_serves_those_it_has() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    answers_again(&store).await;
    // Itself, and one of the two lanes.
    redis.command(&["CONFIG", "SET", "maxclients", "2"]);
    let clients: String = redis.query(&["CLIENT", "LIST", "TYPE", "NORMAL"]);
    let lane = clients
        .lines()
        .find(|line| line.contains("cmd=ping") || line.contains("cmd=evalsha"));
    let id = lane
        .and_then(|line| line.strip_prefix("id=")?.split(' ').next())
        .unwrap();
    redis.command(&["CLIENT", "KILL", "ID", id]);
    for _ in 0..20 {
        store.ping().await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_and_a_closed_port_are_errors_and_no_panic() {
    let mut redis = RedisServer::start();
    redis.kill();
    for url in [redis.url(), "redis://no-such-host.invalid".to_owned()] {
        let store = store(&url, DEADLINE);
        let error = store.ping().await.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Unavailable | StoreError::DeadlineExceeded(_)
            ),
            "{error:?}"
        );
    }
}
