//! How soon a store is back after a failover, beside a client that only waits for it.
//!
//! The bound is relative to that client: what the servers take for a failover is theirs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tower_keep::Store;

use super::{HOUR, answers_again, one_user_in_each, store, topologies::use_everything, users};
use crate::harness::{
    eventually,
    redis::{RedisCluster, RedisSentinel, RedisServer},
};

/// How much later than the plain client the store may be.
const LAG: Duration = Duration::from_secs(1);
const HASTY: Duration = Duration::from_millis(400);

/// Uses the store as requests do, until it is told to end.
struct Load {
    ended: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(store: &Store, user: u64) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let task = || {
            let (values, ended) = (users(store), ended.clone());
            tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    let _ = values.get::<String>(user).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let tasks = (0..8).map(|_| task()).collect();
        Self { ended, tasks }
    }

    async fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Writes by the store until it is on `server`.
async fn written_on(server: &RedisServer, store: &Store, user: u64) -> Instant {
    let (values, key) = (users(store), format!("keep:user:{user}"));
    eventually("a write on the new master", async || {
        let _ = values.set(user, "eve", HOUR).await;
        server.try_query::<i64>(&["EXISTS", &key]) == Ok(1)
    })
    .await;
    Instant::now()
}

#[track_caller]
fn assert_soon(back: Instant, since: Instant) {
    let lag = back.saturating_duration_since(since);
    assert!(lag <= LAG, "{lag:?} after the plain client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_an_old_master_that_is_alive_is_left_within_a_second() {
    let group = RedisSentinel::start();
    let store = store(&group.url(), HASTY);
    answers_again(&store).await;
    users(&store).set(1, "ada", HOUR).await.unwrap();
    let load = Load::start(&store, 1);
    tokio::task::block_in_place(|| group.fail_over());
    let promoted = Instant::now();
    let back = written_on(&group.servers()[1], &store, 2).await;
    assert_soon(back, promoted);
    // It is told that it is a replica after eight seconds.
    let role: String = group.servers()[0].query(&["INFO", "replication"]);
    assert!(role.contains("role:master"), "{role}");
    load.end().await;
    // And when it is told nothing changes.
    eventually("the old master is demoted", async || {
        // It breaks all connections then, this one too.
        let role = group.servers()[0].try_query::<String>(&["INFO", "replication"]);
        role.is_ok_and(|role| role.contains("role:slave"))
    })
    .await;
    let values = users(&store);
    assert_eq!(values.get::<String>(1).await.unwrap().unwrap(), "ada");
    use_everything(&store.with_deadline(super::PATIENT), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_the_successor_of_a_dead_master_is_found_within_a_second() {
    let mut group = RedisSentinel::start();
    let store = store(&group.url(), HASTY);
    answers_again(&store).await;
    let load = Load::start(&store, 1);
    tokio::task::block_in_place(|| {
        group.server_mut(0).kill();
        group.wait_for_master(1);
    });
    let promoted = Instant::now();
    let back = written_on(&group.servers()[1], &store, 2).await;
    assert_soon(back, promoted);
    load.end().await;
    use_everything(&store.with_deadline(super::PATIENT), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_is_frozen_or_cut_off_delays_nothing() {
    let mut group = RedisSentinel::start();
    // It names the old master for ever.
    group.sentinels()[2].pause();
    let store = store(&group.url(), HASTY);
    answers_again(&store).await;
    let load = Load::start(&store, 1);
    tokio::task::block_in_place(|| {
        group.server_mut(0).kill();
        group.wait_for_master(1);
        group.server_mut(0).restart();
    });
    let promoted = Instant::now();
    let back = written_on(&group.servers()[1], &store, 2).await;
    assert_soon(back, promoted);
    load.end().await;
    group.sentinels()[2].resume();
    use_everything(&store.with_deadline(super::PATIENT), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_successor_of_a_dead_master_of_a_shard_is_found_within_a_second() {
    let mut cluster = RedisCluster::start();
    let store = store(&cluster.url(), HASTY);
    let [user, ..] = one_user_in_each(&cluster);
    answers_again(&store).await;
    users(&store).set(user, "ada", HOUR).await.unwrap();
    let replicated: i64 = cluster.nodes()[0].query(&["WAIT", "1", "5000"]);
    assert_eq!(replicated, 1);
    let load = Load::start(&store, user);
    let key = format!("keep:user:{user}");
    tokio::task::block_in_place(|| {
        cluster.fail_over(0);
        // Until then it answers CLUSTERDOWN.
        while cluster.nodes()[3].try_query::<i64>(&["DEL", &key]).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let promoted = Instant::now();
    let back = written_on(&cluster.nodes()[3], &store, user).await;
    assert_soon(back, promoted);
    load.end().await;
    use_everything(&store.with_deadline(super::PATIENT), user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_shards_successor_is_found_within_a_second() {
    let cluster = RedisCluster::start();
    let store = store(&cluster.url(), HASTY);
    let [user, ..] = one_user_in_each(&cluster);
    answers_again(&store).await;
    users(&store).set(user, "ada", HOUR).await.unwrap();
    let load = Load::start(&store, user);
    let key = format!("keep:user:{user}");
    tokio::task::block_in_place(|| {
        cluster.nodes()[0].pause();
        while cluster.nodes()[3].try_query::<i64>(&["DEL", &key]).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let promoted = Instant::now();
    let back = written_on(&cluster.nodes()[3], &store, user).await;
    assert_soon(back, promoted);
    load.end().await;
    // What thaws takes no write that would be lost.
    cluster.nodes()[0].resume();
    let values = users(&store.with_deadline(super::PATIENT));
    for _ in 0..50 {
        values.set(user, "bob", HOUR).await.unwrap();
        assert_eq!(values.get::<String>(user).await.unwrap().unwrap(), "bob");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_is_back_within_a_second() {
    let mut redis = RedisServer::start();
    let store = store(&redis.url(), HASTY);
    answers_again(&store).await;
    let load = Load::start(&store, 1);
    for _ in 0..2 {
        tokio::task::block_in_place(|| {
            redis.kill();
            // The pauses between the attempts have reached their longest.
            std::thread::sleep(Duration::from_millis(800));
            redis.restart();
        });
        let answered = Instant::now();
        let back = written_on(&redis, &store, 2).await;
        assert_soon(back, answered);
    }
    load.end().await;
    use_everything(&store.with_deadline(super::PATIENT), 3).await;
}

#[tokio::test]
async fn a_frozen_server_that_some_sentinels_name_does_not_hide_the_master() {
    let mut groups = [RedisSentinel::start(), RedisSentinel::start()];
    // Of masters of the same configuration the one with the larger port is tried first.
    groups.sort_by_key(|group| std::cmp::Reverse(group.servers()[0].port()));
    let [frozen, alive] = &groups;
    let sentinels: Vec<_> = (groups.iter())
        .flat_map(|group| group.sentinels())
        .map(|sentinel| sentinel.addr().to_string())
        .collect();
    frozen.servers().iter().for_each(RedisServer::pause);
    let url = format!("redis+sentinel://{}/{}", sentinels.join(","), alive.name());
    let store = store(&url, super::PATIENT);
    store.ping().await.unwrap();
    users(&store).set(7, "ada", HOUR).await.unwrap();
    assert_eq!(alive.servers()[0].keys("keep:user:7").len(), 1);
    frozen.servers().iter().for_each(RedisServer::resume);
}
