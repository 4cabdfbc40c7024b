//! A cluster under load: slots that move, shards that fail over, freeze or die, lost connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tower_keep::{
    Store, StoreError,
    key_value::KeyValue,
    rate_limit::{RateLimitOnStoreError, RateLimiter},
    store::{RefusalKind, StoreState},
};

use super::{HOUR, PATIENT, answers_again, one_user_in_each, store, users};
use crate::harness::{
    eventually,
    proxy::Proxy,
    redis::{RedisCluster, RedisServer},
};

/// Nothing comes back of it while a test runs.
fn limiter(store: &Store, quota: u64) -> RateLimiter {
    let policy = format!(r#""all";q={quota};w=864000;alg=fixed"#);
    let limiter = RateLimiter::new(store.clone(), policy.parse().unwrap());
    limiter.on_store_error(RateLimitOnStoreError::Deny)
}

async fn all_shards_answer(values: &KeyValue, ids: [u64; 3]) {
    for id in ids {
        eventually("the shard answers", async || {
            values.get::<String>(id).await.is_ok()
        })
        .await;
    }
}

/// Reads, writes and counts while `what` happens: nothing may fail. Every count is exact.
async fn without_an_error(
    cluster: RedisCluster,
    user: u64,
    what: impl FnOnce(&RedisCluster) + Send + 'static,
) -> RedisCluster {
    const QUOTA: u64 = 1_000_000;
    let store = store(&cluster.url(), PATIENT);
    let values = users(&store);
    values.set(user, "ada", HOUR).await.unwrap();
    let limiter = limiter(&store, QUOTA);
    let (ended, admitted) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut tasks = JoinSet::new();
    for number in 0..8_u64 {
        let (values, limiter) = (values.clone(), limiter.clone());
        let (ended, admitted) = (ended.clone(), admitted.clone());
        tasks.spawn(async move {
            let own = 1_000_000 * (number + 1) + user;
            for round in 0_u64.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                assert_eq!(values.get::<String>(user).await.unwrap().unwrap(), "ada");
                values.set(own, &round, HOUR).await.unwrap();
                assert_eq!(values.get::<u64>(own).await.unwrap(), Some(round));
                let permit = limiter.acquire("all", 1).await.unwrap();
                assert!(!permit.is_degraded());
                admitted.fetch_add(u64::from(permit.is_admitted()), Ordering::Relaxed);
                // Several slots at once.
                let all = values.get_many::<String>([user, own + 1, own + 2]).await;
                assert_eq!(all.unwrap()[0].as_deref(), Some("ada"));
            }
        });
    }
    let cluster = tokio::task::spawn_blocking(move || {
        let running = Duration::from_millis(200);
        std::thread::sleep(running);
        what(&cluster);
        std::thread::sleep(running);
        cluster
    });
    let cluster = cluster.await.unwrap();
    ended.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    let left = limiter.peek("all").await.unwrap();
    let left = left.iter().next().unwrap().remaining();
    assert_eq!(QUOTA - left, admitted.load(Ordering::Relaxed));
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_under_load_lose_no_request_and_no_count() {
    let cluster = RedisCluster::start();
    let [user, ..] = one_user_in_each(&cluster);
    let slot = cluster.slot(&format!("keep:user:{user}"));
    let cluster = without_an_error(cluster, user, move |cluster| {
        // The value, and the counter, there and back.
        let counter = cluster.keys("keep:rate_limit:*").remove(0);
        let counter = cluster.slot(&counter);
        let from = cluster.first_master_of(counter);
        let to = (from + 1) % 3;
        for _ in 0..3 {
            cluster.move_slot(slot, 0, 1);
            cluster.move_slot(counter, from, to);
            cluster.move_slot(slot, 1, 0);
            cluster.move_slot(counter, to, from);
        }
        cluster.move_slot(slot, 0, 1);
    })
    .await;
    let key = format!("keep:user:{user}");
    assert_eq!(cluster.nodes()[1].keys(&key).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_handed_over_under_load_costs_no_error_and_no_count() {
    let cluster = RedisCluster::start();
    let [user, ..] = one_user_in_each(&cluster);
    without_an_error(cluster, user, |cluster| {
        for number in 0..3 {
            cluster.hand_over(number);
        }
    })
    .await;
}

#[tokio::test]
async fn what_counts_is_never_sent_again_when_its_reply_is_lost() {
    let cluster = RedisCluster::start();
    let proxies: Vec<_> = (cluster.nodes()[..3].iter())
        .map(|node| Proxy::start(node.addr()))
        .collect();
    for (node, proxy) in cluster.nodes().iter().zip(&proxies) {
        // The cluster sends its clients there.
        let port = proxy.addr().port().to_string();
        node.command(&["CONFIG", "SET", "cluster-announce-port", &port]);
    }
    eventually("all name the proxies", async || {
        cluster.nodes()[..3].iter().all(|node| {
            let slots: String = node.query(&["CLUSTER", "NODES"]);
            (proxies.iter()).all(|proxy| slots.contains(&format!(":{}@", proxy.addr().port())))
        })
    })
    .await;
    let store = store(&cluster.url(), PATIENT);
    let [user, ..] = one_user_in_each(&cluster);
    let (limiter, values) = (limiter(&store, 1_000), users(&store));
    let _ = limiter.acquire("all", 1).await.unwrap();
    values.set(user, "ada", HOUR).await.unwrap();
    let counted = async || {
        let direct = super::store(&cluster.url(), PATIENT);
        let left = self::limiter(&direct, 1_000).peek("all").await.unwrap();
        1_000 - left.iter().next().unwrap().remaining()
    };
    for round in 1..=5 {
        let calls = || -> u64 {
            let nodes = cluster.nodes()[..3].iter();
            let calls = nodes.map(|node| node.command_calls());
            calls
                .map(|calls| calls.get("evalsha").copied().unwrap_or(0))
                .sum()
        };
        let before = calls();
        for proxy in &proxies {
            proxy.delay(Duration::ZERO, Duration::from_secs(60));
        }
        let acquire = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire("all", 1).await }
        });
        let read = tokio::spawn({
            let values = values.clone();
            async move { values.get::<String>(user).await }
        });
        eventually("it is executed", async || calls() > before).await;
        for proxy in &proxies {
            proxy.delay(Duration::ZERO, Duration::ZERO);
            proxy.drop_connections();
        }
        let lost = acquire.await.unwrap();
        assert!(matches!(lost, Err(StoreError::Connection(_))), "{lost:?}");
        assert_eq!(calls(), before + 1);
        // What only reads is sent again.
        assert_eq!(read.await.unwrap().unwrap().unwrap(), "ada");
        answers_again(&store).await;
        for proxy in &proxies {
            proxy.delay(Duration::ZERO, Duration::ZERO);
        }
        assert_eq!(counted().await, 1 + round);
    }
}

#[tokio::test]
async fn a_frozen_shard_costs_the_others_nothing() {
    let cluster = RedisCluster::start();
    // Nobody takes over as long as it is frozen.
    cluster.set_node_timeout(Duration::from_secs(60));
    let patient = store(&cluster.url(), PATIENT);
    let hasty = users(&patient.clone().with_deadline(Duration::from_millis(100)));
    let values = users(&patient);
    let ids @ [frozen, others @ ..] = one_user_in_each(&cluster);
    for id in ids {
        values.set(id, "ada", HOUR).await.unwrap();
    }
    all_shards_answer(&values, ids).await;
    assert_eq!(patient.state(), StoreState::Ready);
    cluster.nodes()[0].pause();
    // One that waited for the frozen shard would wait out its deadline, and fail.
    for _ in 0..50 {
        let (lost, one, other) = tokio::join!(
            hasty.get::<String>(frozen),
            values.get::<String>(others[0]),
            values.get::<String>(others[1]),
        );
        assert!(lost.is_err());
        assert_eq!(one.unwrap().unwrap(), "ada");
        assert_eq!(other.unwrap().unwrap(), "ada");
    }
    assert_eq!(patient.state(), StoreState::Degraded);
    // What needs no key is asked of a shard that answers.
    patient.ping().await.unwrap();
    let health = tower_keep::health::Health::new(patient.clone());
    let (_, report) = crate::health::ready(&health).await;
    let states: Vec<_> = (report["stores"][0]["servers"].as_array().unwrap().iter())
        .map(|server| server["breaker"].clone())
        .collect();
    assert_eq!(states, ["open", "closed", "closed"], "{report}");
    cluster.nodes()[0].resume();
    all_shards_answer(&values, ids).await;
    eventually("all is well", async || patient.state() == StoreState::Ready).await;
}

#[tokio::test]
async fn a_shard_that_dies_without_a_replica_leaves_the_others_serving() {
    let config = RedisServer::config().partial_coverage();
    let mut cluster = RedisCluster::start_with(config);
    let store = store(&cluster.url(), PATIENT);
    let values = users(&store);
    let ids @ [lost, others @ ..] = one_user_in_each(&cluster);
    for id in ids {
        values.set(id, "ada", HOUR).await.unwrap();
    }
    cluster.node_mut(3).kill();
    cluster.node_mut(0).kill();
    for _ in 0..100 {
        for id in others {
            assert_eq!(values.get::<String>(id).await.unwrap().unwrap(), "ada");
        }
        assert!(values.get::<String>(lost).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.state(), StoreState::Degraded);
    cluster.node_mut(0).restart();
    eventually("the shard is back", async || {
        values.set(lost, "eve", HOUR).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_serves_nothing_costs_the_deadline_once_and_says_so() {
    let mut cluster = RedisCluster::start();
    let store = store(&cluster.url(), Duration::from_millis(500));
    let values = users(&store);
    let [_, user, _] = one_user_in_each(&cluster);
    answers_again(&store).await;
    values.set(user, "ada", HOUR).await.unwrap();
    // By default a cluster serves all slots or none.
    cluster.node_mut(3).kill();
    cluster.node_mut(0).kill();
    eventually("it is down", async || {
        let error = values.get::<String>(user).await.err();
        matches!(
            error,
            Some(StoreError::Refused {
                kind: RefusalKind::ClusterDown,
                ..
            })
        )
    })
    .await;
    let start = std::time::Instant::now();
    for _ in 0..100 {
        values.get::<String>(user).await.unwrap_err();
    }
    assert!(start.elapsed() < PATIENT, "{:?}", start.elapsed());
    assert!(store.refusals().contains(&RefusalKind::ClusterDown));
    assert_ne!(store.state(), StoreState::Ready);
    let health = tower_keep::health::Health::new(store.clone());
    let (status, report) = crate::health::ready(&health).await;
    assert_eq!(status, http::StatusCode::SERVICE_UNAVAILABLE, "{report}");
    assert!(report.to_string().contains("CLUSTERDOWN"), "{report}");
    cluster.node_mut(0).restart();
    eventually("it serves", async || {
        values.get::<String>(user).await.is_ok()
    })
    .await;
    eventually("it is of use", async || {
        crate::health::ready(&health).await.0 == http::StatusCode::OK
    })
    .await;
    // That is forgotten when it serves again: the next outage is waited out anew.
    cluster.node_mut(0).kill();
    let down = async || {
        let start = std::time::Instant::now();
        let error = values.get::<String>(user).await.err()?;
        let StoreError::Refused { kind, .. } = error else {
            return Some(start.elapsed());
        };
        (kind == RefusalKind::ClusterDown).then(|| start.elapsed())
    };
    let mut first = None;
    eventually("it is down again", async || {
        first = down().await;
        first.is_some()
    })
    .await;
    assert!(first >= Some(Duration::from_millis(400)), "{first:?}");
}

#[tokio::test]
async fn a_url_for_one_server_that_leads_to_a_cluster_is_told_what_is_wrong() {
    let cluster = RedisCluster::start();
    let store = store(&cluster.nodes()[0].url(), PATIENT);
    let [_, elsewhere, _] = one_user_in_each(&cluster);
    let error = users(&store).get::<String>(elsewhere).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Refused {
                kind: RefusalKind::Moved,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(store.refusals(), [RefusalKind::Moved]);
}
