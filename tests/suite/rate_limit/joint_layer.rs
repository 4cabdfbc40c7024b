//! A layer that limits requests by several keys at once, and what that costs.

use std::time::{Duration, Instant};

use http::HeaderName;
use tower_keep::Store;
use tower_keep::rate_limit::{
    JointRateLimiter, Key, MissingKey, Quota, RateLimitDecision, RateLimitLayer,
    RateLimitOnStoreError, RateLimiter,
};

use super::stand::Stand;
use super::{Reply, from, limited, policy, send, store};
use crate::harness::redis::{RedisCluster, RedisServer};
use crate::harness::{eventually, on_all_stores};

const USER: HeaderName = HeaderName::from_static("user");

/// By address, by user and for all together.
fn layer(store: &Store) -> RateLimitLayer {
    let limiter = |item: &str| RateLimiter::new(store.clone(), policy(item));
    RateLimitLayer::from_limiter(limiter(r#""address";q=5;w=3600"#))
        .and_limiter(limiter(r#""user";q=2;w=3600;alg=fixed"#), Key::header(USER))
        .unwrap()
        .and_limiter(limiter(r#""all";q=9;w=3600"#), Key::global())
        .unwrap()
}

fn left(reply: &Reply) -> Vec<u64> {
    let decision: &RateLimitDecision = reply.extensions.get().unwrap();
    decision.iter().map(|policy| policy.remaining()).collect()
}

on_all_stores!(
    each_request_counts_for_all_its_keys_and_a_denied_one_for_none,
    a_key_that_is_missing_is_skipped_alone,
);

const POLICIES: &str = r#""address";q=5;w=3600, "user";q=2;w=3600, "all";q=9;w=3600"#;

async fn each_request_counts_for_all_its_keys_and_a_denied_one_for_none(stand: Stand) {
    let service = limited(&layer(&stand.store));
    let get =
        async |address: &str, user: &str| send(&service, from(address).header(USER, user)).await;
    let first = get("192.0.2.1", "ada").await;
    assert_eq!(first.field("ratelimit-policy"), [POLICIES]);
    assert_eq!(left(&first), [4, 1, 8]);
    let field = first.field("ratelimit")[0].to_owned();
    assert!(
        field.starts_with(r#""address";r=4;t=720, "user";r=1;t=3600, "all";r=8;t=400"#),
        "{field}"
    );
    assert_eq!(left(&get("192.0.2.1", "ada").await), [3, 0, 7]);
    for n in 0..5 {
        let denied = get("192.0.2.1", "ada").await;
        assert_eq!(denied.status, 429);
        assert_eq!(
            denied.json()["violated-policies"],
            serde_json::json!(["user"])
        );
        // What this process remembers is the denial of the user alone.
        assert_eq!(denied.field("ratelimit-policy"), [POLICIES], "{n}");
        assert!(denied.field("ratelimit")[0].contains(r#""user";r=0;t="#));
        assert!((3_590..=3_600).contains(&denied.retry_after().unwrap()));
    }
    assert_eq!(left(&get("192.0.2.1", "bob").await), [2, 1, 6]);
    assert_eq!(left(&get("192.0.2.2", "bob").await), [4, 0, 5]);
    stand.assert_tidy();
}

async fn a_key_that_is_missing_is_skipped_alone(stand: Stand) {
    let layer = layer(&stand.store).on_missing_key(MissingKey::Skip);
    let service = limited(&layer);
    assert_eq!(left(&send(&service, from("192.0.2.1")).await), [4, 8]);
    let known = send(&service, from("192.0.2.1").header(USER, "ada")).await;
    assert_eq!(left(&known), [3, 1, 7]);
    let nobody = http::Request::builder().header(USER, "ada");
    assert_eq!(left(&send(&service, nobody).await), [0, 6]);
}

#[tokio::test]
async fn each_policy_tells_the_partition_of_its_own_key() {
    let service = limited(&layer(&Store::memory()).with_partition_key());
    let reply = send(&service, from("192.0.2.1").header(USER, "ada")).await;
    for field in ["ratelimit-policy", "ratelimit"] {
        let field = reply.field(field)[0].to_owned();
        let keys = field
            .split(", ")
            .map(|item| item.split(";pk=").nth(1).unwrap());
        let keys: std::collections::HashSet<_> = keys.collect();
        assert_eq!(keys.len(), 3, "{field}");
    }
}

#[tokio::test]
async fn a_quota_of_the_request_is_of_whichever_limiter_has_the_policy() {
    let layer = layer(&Store::memory());
    let layer = layer.with_quota("user", |request| {
        let premium = request.headers.contains_key("premium");
        premium.then(|| Quota::per_hour(7).unwrap())
    });
    let service = limited(&layer.unwrap());
    let request = from("192.0.2.1").header(USER, "ada").header("premium", "");
    let reply = send(&service, request).await;
    let policies = POLICIES.replace("q=2", "q=7");
    assert_eq!(reply.field("ratelimit-policy"), [policies]);
    assert_eq!(left(&reply), [4, 6, 8]);
}

#[test]
fn limiters_that_do_not_go_with_the_layers_are_refused() {
    let store = Store::memory();
    let other = |item: &str| RateLimiter::new(store.clone(), policy(item));
    let layer = || layer(&store);
    assert!(
        layer()
            .and_limiter(other(r#""user";q=1;w=1"#), Key::global())
            .is_err()
    );
    assert!(layer().and_policy(policy(r#""user";q=1;w=1"#)).is_err());
    let elsewhere = RateLimiter::new(Store::memory(), policy(r#""a";q=1;w=1"#));
    assert!(layer().and_limiter(elsewhere, Key::global()).is_err());
    assert!(layer().with_blocks(0.01).is_err());
}

#[tokio::test]
async fn three_keys_cost_one_command_and_a_repeated_denial_none() {
    let redis = RedisServer::start();
    let service = limited(&layer(&store(&redis)));
    let get = async || send(&service, from("192.0.2.1").header(USER, "ada")).await;
    assert_eq!(get().await.status, 200);
    redis.reset_stats();
    assert_eq!(get().await.status, 200);
    assert_eq!(redis.command_calls().get("evalsha"), Some(&1));
    redis.reset_stats();
    for _ in 0..1_000 {
        assert_eq!(get().await.status, 429);
    }
    let asked = redis.command_calls().get("evalsha").copied();
    assert!((1..=2).contains(&asked.unwrap_or(0)), "{asked:?}");
}

fn evaluations(cluster: &RedisCluster) -> u64 {
    let calls = cluster.nodes().iter().map(RedisServer::command_calls);
    calls
        .map(|calls| calls.get("evalsha").copied().unwrap_or(0))
        .sum()
}

/// By two keys of different shards.
async fn apart(cluster: &RedisCluster, items: [&str; 2]) -> (Store, JointRateLimiter<2>) {
    let config = tower_keep::StoreConfig::from_url(&cluster.url()).unwrap();
    let store = config
        .with_deadline(Duration::from_secs(5))
        .build()
        .unwrap();
    let limiter = |item: &str| RateLimiter::new(store.clone(), policy(item));
    let joint = JointRateLimiter::new(items.map(limiter)).unwrap();
    // Every connection is there.
    for _ in 0..20 {
        joint.peek(["ada", "bob"]).await.unwrap();
    }
    (store, joint)
}

#[tokio::test]
async fn in_a_cluster_a_key_costs_a_command_and_a_denial_one_more_for_each_that_was_charged() {
    let cluster = RedisCluster::start();
    let (_, joint) = apart(&cluster, [r#""a";q=5;w=3600"#, r#""b";q=1;w=3600"#]).await;
    let count = async |admitted: bool| {
        cluster.nodes().iter().for_each(RedisServer::reset_stats);
        let permit = joint.acquire(["ada", "bob"], 1).await.unwrap();
        assert_eq!(permit.is_admitted(), admitted);
        evaluations(&cluster)
    };
    assert_eq!(count(true).await, 2);
    assert_eq!(count(false).await, 3);
    assert_eq!(count(false).await, 0);
    let seen = joint.peek(["ada", "bob"]).await.unwrap();
    assert_eq!(seen.iter().next().unwrap().remaining(), 4);
}

/// The shard charges, and takes no part of it back: its user may not run the command.
#[tokio::test]
async fn what_a_shard_does_not_take_back_comes_back_by_time_and_leaves_no_key() {
    let cluster = RedisCluster::start();
    let (_, joint) = apart(&cluster, [r#""a";q=5;w=2"#, r#""b";q=1;w=3600"#]).await;
    let _ = joint.limiters()[1].acquire("bob", 1).await.unwrap();
    for node in cluster.nodes() {
        node.command(&["ACL", "SETUSER", "default", "-hincrby"]);
    }
    let denied = joint.acquire(["ada", "bob"], 3).await.unwrap();
    assert!(!denied.is_admitted());
    // As if it had been taken back, for this is what was denied.
    let left: Vec<_> = denied.iter().map(|policy| policy.remaining()).collect();
    assert_eq!(left, [5, 0]);
    let charged_at = Instant::now();
    for master in cluster.masters() {
        cluster.nodes()[master].assert_every_key_has_a_ttl();
    }
    loop {
        let seen = joint.limiters()[0].peek("ada").await.unwrap();
        let left = seen.tightest().unwrap().remaining();
        assert!(left >= 2, "no more than the call's own cost: {left}");
        if left == 5 {
            break;
        }
        assert!(charged_at.elapsed() < Duration::from_secs(5), "{left}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_shard_that_does_not_answer_costs_the_others_nothing() {
    let cluster = RedisCluster::start();
    let config = tower_keep::StoreConfig::from_url(&cluster.url()).unwrap();
    let store = config
        .with_deadline(Duration::from_millis(300))
        .build()
        .unwrap();
    let limiter =
        |item: &str, failing| RateLimiter::new(store.clone(), policy(item)).on_store_error(failing);
    let (deny, local) = (
        RateLimitOnStoreError::Deny,
        RateLimitOnStoreError::Local { share: 1.0 },
    );
    let there = limiter(r#""a";q=50;w=3600"#, deny);
    // Keys whose shards are others than that of "ada".
    let shard = |key: &str| cluster.first_master_of(cluster.slot(key));
    let warm = async || while there.peek("ada").await.is_err() {};
    warm().await;
    assert!(there.acquire("ada", 1).await.unwrap().is_admitted());
    let name = cluster.keys("keep:rate_limit:*");
    let home = shard(&name[0]);
    let gone = (home + 1) % 3;
    let far = |limiter: RateLimiter| {
        let cluster = &cluster;
        async move {
            for n in 0.. {
                let key = format!("key{n}");
                let _ = limiter.acquire(&key, 1).await.unwrap();
                let all = cluster.keys("keep:rate_limit:*:b:*");
                if all.iter().any(|name| shard(name) == gone) {
                    return key;
                }
            }
            unreachable!()
        }
    };
    let key = far(limiter(r#""b";q=50;w=3600"#, deny)).await;
    cluster.nodes()[gone].pause();
    for (failing, answered) in [(deny, false), (local, true)] {
        let b = limiter(r#""b";q=2;w=3600"#, failing);
        let joint = JointRateLimiter::new([there.clone(), b]).unwrap();
        for n in 0..4 {
            let before = there
                .peek("ada")
                .await
                .unwrap()
                .tightest()
                .unwrap()
                .remaining();
            let permit = joint.acquire(["ada", &key], 1).await;
            let expected = match &permit {
                Ok(permit) if permit.is_admitted() => before - 1,
                _ => before,
            };
            // The answer is not kept waiting for what goes back.
            eventually("what was charged is back", async || {
                let seen = there.peek("ada").await.unwrap();
                seen.tightest().unwrap().remaining() == expected
            })
            .await;
            match permit {
                Err(_) => assert!(!answered),
                // The limiter in this process has two units.
                Ok(permit) => {
                    assert!(answered && permit.is_degraded());
                    assert_eq!(permit.is_admitted(), n < 2);
                }
            }
        }
    }
    cluster.nodes()[gone].resume();
}

/// One shard is gone, and the other one is, too, once it has charged the call.
#[tokio::test]
async fn an_answer_takes_no_longer_than_the_deadline_whatever_goes_back() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let cluster = RedisCluster::start();
    let config = tower_keep::StoreConfig::from_url(&cluster.url()).unwrap();
    let store = config.with_deadline(DEADLINE).build().unwrap();
    let limiter = |item: &str| {
        let limiter = RateLimiter::new(store.clone(), policy(item));
        limiter.on_store_error(RateLimitOnStoreError::Deny)
    };
    let (a, b) = (limiter(r#""a";q=50;w=3600"#), limiter(r#""b";q=50;w=3600"#));
    let shard = |key: &str| cluster.first_master_of(cluster.slot(key));
    while a.peek("ada").await.is_err() {}
    let _ = a.acquire("ada", 1).await.unwrap();
    let charged = cluster.keys("keep:rate_limit:*:a:*").remove(0);
    let (home, mut other) = (shard(&charged), String::new());
    for n in 0.. {
        other = format!("key{n}");
        let _ = b.acquire(&other, 1).await.unwrap();
        let names = cluster.keys("keep:rate_limit:*:b:*");
        if names.iter().any(|name| shard(name) != home) {
            break;
        }
        b.reset(&other).await.unwrap();
    }
    let far = shard(&cluster.keys("keep:rate_limit:*:b:*")[0]);
    let joint = JointRateLimiter::new([a.clone(), b]).unwrap();
    let before: u64 = cluster.nodes()[home].query(&["HGET", &charged, "ends"]);

    cluster.nodes()[far].pause();
    let began = Instant::now();
    let call = tokio::spawn(async move { joint.acquire(["ada", &other], 1).await });
    while cluster.nodes()[home].query::<u64>(&["HGET", &charged, "ends"]) == before {
        assert!(began.elapsed() < DEADLINE / 2, "it is not charged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.nodes()[home].pause();
    assert!(call.await.unwrap().is_err());
    let taken = began.elapsed();
    for node in [home, far] {
        cluster.nodes()[node].resume();
    }
    assert!(taken < DEADLINE * 3 / 2, "{taken:?}");
    eventually("what was charged is back", async || {
        let seen = a.peek("ada").await;
        seen.is_ok_and(|seen| seen.tightest().unwrap().remaining() == 49)
    })
    .await;
}
