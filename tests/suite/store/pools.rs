//! Pools of the application's, with settings of its own.

use std::time::Duration;

use deadpool_redis::{Runtime, cluster, redis::AsyncConnectionConfig, sentinel};
use tokio::task::JoinSet;
use tower_keep::{Store, store::StoreState};

use super::{
    HOUR, PATIENT, answers_again, one_user_in_each, pool, topologies::use_everything, users,
};
use crate::harness::{
    eventually,
    proxy::Proxy,
    redis::{RedisCluster, RedisSentinel, RedisServer},
};

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

/// The store, and the pool that it is on.
fn on_a_cluster(cluster: &RedisCluster) -> (Store, cluster::Pool) {
    let urls: Vec<_> = cluster.nodes().iter().map(RedisServer::url).collect();
    let config = cluster::Config::from_urls(urls);
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    (Store::cluster(pool.clone()).with_deadline(PATIENT), pool)
}

#[tokio::test]
async fn a_pool_to_a_cluster_serves_all_shards_and_follows_slots_that_move() {
    let cluster = RedisCluster::start();
    let (store, pool) = on_a_cluster(&cluster);
    let ids = one_user_in_each(&cluster);
    for id in ids {
        use_everything(&store, id).await;
        users(&store).set(id, "ada", HOUR).await.unwrap();
    }
    assert_eq!(store.state(), StoreState::Ready);
    let slot = cluster.slot(&format!("keep:user:{}", ids[0]));
    cluster.move_slot(slot, 0, 1);
    for id in ids {
        let found = users(&store).get::<String>(id).await.unwrap();
        assert_eq!(found.as_deref(), Some("ada"));
    }
    // The application's own use of it goes on.
    pool.get().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_to_a_cluster_finds_the_successor_of_a_dead_master() {
    let mut cluster = RedisCluster::start();
    let (store, _) = on_a_cluster(&cluster);
    let [user, other, _] = one_user_in_each(&cluster);
    let values = users(&store);
    values.set(other, "ada", HOUR).await.unwrap();
    tokio::task::block_in_place(|| cluster.fail_over(0));
    eventually("a write on the new master", async || {
        values.set(user, "eve", HOUR).await.is_ok()
    })
    .await;
    let key = format!("keep:user:{user}");
    assert_eq!(cluster.nodes()[3].query::<i64>(&["EXISTS", &key]), 1);
    let found = values.get::<String>(other).await.unwrap();
    assert_eq!(found.as_deref(), Some("ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_by_sentinels_serves_the_master_and_its_successor() {
    let group = RedisSentinel::start();
    let urls: Vec<_> = group.sentinels().iter().map(RedisServer::url).collect();
    let master = sentinel::SentinelServerType::Master;
    let config = sentinel::Config::from_urls(urls, group.name().to_owned(), master);
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    let store = Store::sentinel(pool.clone()).with_deadline(PATIENT);
    use_everything(&store, 1).await;
    tokio::task::block_in_place(|| group.fail_over());
    let values = users(&store);
    eventually("a write on the new master", async || {
        let _ = values.set(2, "eve", HOUR).await;
        group.servers()[1].keys("keep:user:2").len() == 1
    })
    .await;
    use_everything(&store, 3).await;
    pool.get().await.unwrap();
}
