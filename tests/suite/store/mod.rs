//! The store itself: deadlines, outages, connections, scripts, keys and secrets.

mod breaker;
mod capabilities;
mod cluster;
mod connections;
mod failover;
mod keys;
mod loading;
mod memory;
mod outages;
mod permissions;
mod pools;
mod refusals;
mod runtimes;
mod scripts;
mod secrets;
mod silent_connections;
mod topologies;

use std::time::{Duration, Instant};

use crate::harness::redis::RedisCluster;
use deadpool_redis::{
    Manager, Pool, Runtime,
    redis::{AsyncConnectionConfig, IntoConnectionInfo},
};
use tower_keep::{Store, StoreConfig, StoreError, key_value::KeyValue, store::StoreState};

/// Above what a busy machine needs for a round trip.
const PATIENT: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

fn store(url: &str, deadline: Duration) -> Store {
    let config = StoreConfig::from_url(url).unwrap();
    config.with_deadline(deadline).build().unwrap()
}

/// A pool as an application makes it.
fn pool(url: &str, size: usize, connection: AsyncConnectionConfig) -> Pool {
    let info = url.into_connection_info().unwrap();
    let manager = Manager::new_with_config(info, connection).unwrap();
    let builder = Pool::builder(manager).max_size(size);
    builder.runtime(Runtime::Tokio1).build().unwrap()
}

fn users(store: &Store) -> KeyValue {
    KeyValue::new(store.clone(), "user").unwrap()
}

/// A key of the key-value service in each of the shards, by the number of its first master.
fn one_user_in_each(cluster: &RedisCluster) -> [u64; 3] {
    let master = |id: u64| cluster.first_master_of(cluster.slot(&format!("keep:user:{id}")));
    [0, 1, 2].map(|number| (0..).find(|id| master(*id) == number).unwrap())
}

/// Asks until the store answers, and says how long that took.
async fn answers_again(store: &Store) -> Duration {
    let start = Instant::now();
    while store.ping().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "{store:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// Asks until the breaker is open.
async fn is_open(store: &Store) {
    let start = Instant::now();
    while store.state() != StoreState::Unavailable {
        assert!(start.elapsed() < Duration::from_secs(20), "{store:?}");
        let _ = store.ping().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[track_caller]
fn assert_late(result: &Result<(), StoreError>) {
    assert!(
        matches!(result, Err(StoreError::DeadlineExceeded(_))),
        "{result:?}"
    );
}

#[track_caller]
fn assert_refused_at_once(result: &Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable)), "{result:?}");
}
