//! Counts that are exact over processes, and what stays in Redis.

use std::time::{Duration, Instant};

use http::HeaderName;
use tokio::task::JoinSet;
use tower_keep::Store;
use tower_keep::rate_limit::{Key, PolicyDecision, RateLimitDecision, RateLimitLayer};

use super::{Limited, from, limited, policy, request, send, statuses, store};
use crate::harness::redis::RedisServer;

/// How many of `count` concurrent requests, spread over the services, are admitted.
async fn admitted(services: &[Limited], count: usize) -> usize {
    let mut requests = JoinSet::new();
    for service in services.iter().cycle().take(count) {
        let service = service.clone();
        requests.spawn(async move { request(&service).await.status.as_u16() });
    }
    let statuses = requests.join_all().await;
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    statuses.iter().filter(|status| **status == 200).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_together_admit_exactly_the_quota() {
    let redis = RedisServer::start();
    let stores = [store(&redis), store(&redis)];
    for round in 0..20 {
        for alg in ["gcra", "fixed", "sliding"] {
            // Nothing comes back while a round runs.
            let item = format!(r#""round{round}";q=50;w=864000;alg={alg}"#);
            let process =
                |store: &Store| limited(&RateLimitLayer::new(store.clone(), policy(&item)));
            let processes = [process(&stores[0]), process(&stores[1])];
            assert_eq!(admitted(&processes, 200).await, 50, "{item}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_has_forgotten_cost_no_request_and_no_count() {
    let redis = RedisServer::start();
    let service = limited(&RateLimitLayer::new(
        store(&redis),
        policy(r#""hourly";q=50;w=3600"#),
    ));
    let mut total = 0;
    for _ in 0..4 {
        total += admitted(std::slice::from_ref(&service), 20).await;
        redis.flush_scripts();
    }
    assert_eq!(total, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_memory_admits_exactly_the_quota() {
    for _ in 0..50 {
        let services = [limited(&super::in_memory(r#""hourly";q=50;w=3600"#))];
        // Not one more than fit: none of them may be denied.
        assert_eq!(admitted(&services, 50).await, 50);
        assert_eq!(admitted(&services, 150).await, 0);
    }
}

#[tokio::test]
async fn nothing_stays_in_redis_after_the_limits_have_replenished() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""a";q=10;w=1"#))
        .and_policy(policy(r#""b";q=5;w=1;alg=fixed"#))
        .unwrap();
    let service = limited(&layer);
    statuses(&service, 20).await;
    assert_eq!(redis.keys("keep:rate_limit:*").len(), 2);
    redis.assert_every_key_has_a_ttl();
    let patience = Instant::now() + Duration::from_secs(10);
    while redis.query::<u64>(&["DBSIZE"]) > 0 {
        assert!(Instant::now() < patience, "{:?}", redis.keys("*"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn denied_requests_write_nothing() {
    let redis = RedisServer::start();
    let layer = RateLimitLayer::new(store(&redis), policy(r#""a";q=1;w=3600"#))
        .and_policy(policy(r#""b";q=10;w=3600"#))
        .unwrap();
    assert_eq!(statuses(&limited(&layer), 1).await, [200]);
    let dump = |redis: &RedisServer| -> Vec<(String, Vec<String>)> {
        let keys = redis.keys("*").into_iter();
        keys.map(|key| (key.clone(), redis.query(&["HGETALL", &key])))
            .collect()
    };
    let before = dump(&redis);
    assert_eq!(before.len(), 2);
    redis.reset_stats();
    // Fresh layers have no memory of denials, so that each asks Redis.
    for _ in 0..5 {
        let process = layer.clone().with_skip(|_| false);
        assert_eq!(statuses(&limited(&process), 1).await, [429]);
    }
    let calls = redis.command_calls();
    for write in ["hset", "hincrby", "pexpire", "del"] {
        assert_eq!(calls.get(write), None, "{calls:?}");
    }
    assert_eq!(dump(&redis), before);
}

#[tokio::test]
async fn keys_in_redis_are_digests_of_one_hash_slot_a_subject() {
    let redis = RedisServer::start();
    let key = Key::header(HeaderName::from_static("x-api-key")).and(Key::peer_ip());
    let layer = RateLimitLayer::new(store(&redis), policy(r#""per {key}";q=5;w=60"#))
        .and_policy(policy(r#""b";q=5;w=60"#))
        .unwrap();
    let service = limited(&layer.with_key(key));
    let request = from("203.0.113.77").header("x-api-key", "s3cret");
    assert_eq!(send(&service, request).await.status, 200);
    let keys = redis.keys("*");
    assert_eq!(keys.len(), 2);
    let tag = |key: &str| {
        key.split_once('{')
            .unwrap()
            .1
            .split_once('}')
            .unwrap()
            .0
            .to_owned()
    };
    assert_eq!(tag(&keys[0]), tag(&keys[1]));
    assert_eq!(tag(&keys[0]).len(), 22);
    for key in &keys {
        assert!(key.starts_with("keep:rate_limit:{"), "{key}");
        assert!(
            !key.contains("203.0.113") && !key.contains("s3cret"),
            "{key}"
        );
        assert_eq!(key.matches('{').count(), 1, "{key}");
    }
}

#[tokio::test]
async fn memory_and_redis_answer_any_sequence_of_requests_alike() {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let redis = RedisServer::start();
    // Nothing comes back while this runs, so the two clocks cannot make a difference.
    let layer = |store| {
        let layer = RateLimitLayer::new(store, policy(r#""a";q=20;w=864000"#));
        let layer = layer
            .and_policy(policy(r#""b";q=30;w=864000;alg=fixed"#))
            .unwrap();
        let cost = |request: &http::request::Parts| {
            request.headers["cost"].to_str().unwrap().parse().unwrap()
        };
        layer.with_cost(cost)
    };
    let mut runner = TestRunner::deterministic();
    let requests = proptest::collection::vec((0..6_u8, 0..9_u64), 400);
    let requests = requests.new_tree(&mut runner).unwrap().current();
    let (memory, redis) = (
        limited(&layer(Store::memory())),
        limited(&layer(store(&redis))),
    );
    let mut denied = 0;
    for (peer, cost) in requests {
        let request = || from(&format!("192.0.2.{peer}")).header("cost", cost);
        let (one, other) = (
            send(&memory, request()).await,
            send(&redis, request()).await,
        );
        assert_eq!(one.status, other.status);
        let remaining = |reply: &super::Reply| -> Vec<u64> {
            let decision: &RateLimitDecision = reply.extensions.get().unwrap();
            decision.iter().map(PolicyDecision::remaining).collect()
        };
        assert_eq!(remaining(&one), remaining(&other));
        denied += u32::from(one.status == 429);
    }
    assert!((50..350).contains(&denied), "{denied} denials");
}

/// A layer over each store that the two policies are asked of by turns.
async fn on_all_stores(test: impl AsyncFn(&dyn Fn(&str) -> Limited)) {
    let redis = RedisServer::start();
    for store in [Store::memory(), store(&redis)] {
        // Each service as in a process of its own.
        test(&|item| limited(&RateLimitLayer::new(store.clone(), policy(item)))).await;
    }
    redis.assert_every_key_has_a_ttl();
}

fn remaining(reply: &super::Reply) -> u64 {
    let decision: &RateLimitDecision = reply.extensions.get().unwrap();
    decision.tightest().unwrap().remaining()
}

#[tokio::test]
async fn the_same_name_with_another_window_or_algorithm_is_another_limit() {
    on_all_stores(async |service| {
        let reads = service(r#""api";q=100;w=3600"#);
        let logins = service(r#""api";q=5;w=60"#);
        let windows = service(r#""api";q=7;w=60;alg=fixed"#);
        let mut admitted = [0; 3];
        for _ in 0..110 {
            for (service, admitted) in [&reads, &logins, &windows].into_iter().zip(&mut admitted) {
                *admitted += u32::from(request(service).await.status == 200);
            }
        }
        let [reads, logins, windows] = admitted;
        // While that takes its time, a unit comes back every 36 and every 12 seconds.
        assert!((100..=101).contains(&reads), "{reads}");
        assert!((5..=7).contains(&logins), "{logins}");
        assert_eq!(windows, 7);
    })
    .await;
}

#[tokio::test]
async fn a_changed_quota_keeps_the_fraction_that_is_used() {
    on_all_stores(async |service| {
        for alg in ["gcra", "fixed"] {
            let item = |quota| format!(r#""api";q={quota};w=864000;alg={alg}"#);
            let before = service(&item(10));
            assert_eq!(statuses(&before, 5).await, [200; 5]);
            let raised = service(&item(100));
            assert_eq!(remaining(&request(&raised).await), 49);
            let lowered = service(&item(4));
            assert_eq!(remaining(&request(&lowered).await), 0);
            assert_eq!(request(&lowered).await.status, 429);
            // Back again: 0.5 + 0.01 + 0.25 of the quota, where windows count by whole units.
            let left = remaining(&request(&service(&item(100))).await);
            assert_eq!(left, if alg == "gcra" { 23 } else { 0 });
        }
    })
    .await;
}

#[tokio::test]
async fn quotas_that_divide_badly_are_enforced_to_the_unit() {
    on_all_stores(async |service| {
        for item in [
            r#""a";q=7;w=86399"#,
            r#""b";q=13;w=31622399"#,
            r#""c";q=11;w=604800"#,
        ] {
            let quota = policy(item).quota().limit();
            let service = service(item);
            for left in (0..quota).rev() {
                assert_eq!(remaining(&request(&service).await), left, "{item}");
            }
            assert_eq!(request(&service).await.status, 429, "{item}");
        }
        // More units than a microsecond has room for.
        let service = service(r#""d";q=1000000000000;w=31622400"#);
        assert_eq!(remaining(&request(&service).await), 999_999_999_999);
    })
    .await;
}
