//! Each setting of a configuration file does what the layer's setter of its name does.

use std::time::Duration;

use serde_json::{Value, json};
use tower_keep::Store;
use tower_keep::rate_limit::RateLimitLayer;
use tower_keep::store::MemoryLimits;

use super::stand::{Stand, on_memory_and_redis};
use super::{Limited, from, limited, request, send, statuses, store};
use crate::harness::redis::RedisServer;

on_memory_and_redis!(
    limits_only_watch_in_shadow,
    a_missing_key_is_treated_as_configured,
    a_ban_is_in_force,
    the_fields_are_of_the_dialect_that_is_configured,
    every_limiter_under_and_counts_by_its_own_key_with_settings_of_its_own,
);

/// A layer with one request an hour by peer, and `settings`.
fn configured(store: &Store, settings: Value) -> Limited {
    let mut config = json!({ "policies": [r#""one";q=1;w=3600"#] });
    let given = settings.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(given);
    let config = serde_json::from_value(config).unwrap();
    limited(&RateLimitLayer::from_config(store.clone(), config).unwrap())
}

fn ban(name: &str) -> Value {
    json!({"name": name, "denials": 2, "within": 600, "lasting": 60, "longest": 90})
}

async fn limits_only_watch_in_shadow(stand: Stand) {
    let watching = configured(&stand.store, json!({"shadow": true}));
    assert_eq!(statuses(&watching, 3).await, [200; 3]);
    let enforcing = configured(&stand.store, json!({"shadow": false}));
    assert_eq!(statuses(&enforcing, 1).await, [429]);
}

async fn a_missing_key_is_treated_as_configured(stand: Stand) {
    for (missing_key, expected) in [
        ("shared", [200, 429]),
        ("deny", [400, 400]),
        ("skip", [200, 200]),
    ] {
        let settings = json!({"key": "header:x-api-key", "missing_key": missing_key});
        let service = configured(&stand.store, settings);
        assert_eq!(statuses(&service, 2).await, expected, "{missing_key}");
    }
}

async fn a_ban_is_in_force(stand: Stand) {
    let service = configured(&stand.store, json!({"ban": ban("abuse")}));
    assert_eq!(statuses(&service, 2).await, [200, 429]);
    let banned = request(&service).await;
    assert_eq!(banned.json()["violated-policies"], json!(["abuse", "one"]));
    assert!(
        banned.json()["type"]
            .as_str()
            .unwrap()
            .ends_with("#abnormal-usage-detected")
    );
}

async fn the_fields_are_of_the_dialect_that_is_configured(stand: Stand) {
    for (headers, field, value) in [
        ("ietf", "ratelimit-policy", r#""one";q=1;w=3600"#),
        ("draft-07", "ratelimit-policy", "1;w=3600"),
        ("x-rate-limit", "x-ratelimit-limit", "1"),
    ] {
        let settings = json!({"headers": headers, "key": "global"});
        let reply = request(&configured(&stand.store, settings)).await;
        assert_eq!(reply.field(field), [value], "{headers}");
    }
    let settings = json!({"headers": "none", "key": "global"});
    let untold = request(&configured(&stand.store, settings)).await;
    assert!(
        untold
            .headers
            .keys()
            .all(|name| !name.as_str().contains("ratelimit"))
    );
    let settings = json!({"partition_key": true});
    let reply = request(&configured(&stand.store, settings)).await;
    assert!(reply.field("ratelimit-policy")[0].contains(";pk=:"));
}

async fn every_limiter_under_and_counts_by_its_own_key_with_settings_of_its_own(stand: Stand) {
    let networks = json!({
        "policies": [r#""network";q=2;w=3600"#],
        "key": "peer_ip",
        "ipv6_prefix": 48,
        "ban": ban("network-ban"),
    });
    let service = configured(&stand.store, json!({"and": [networks]}));
    let ask = async |peer: &str| send(&service, from(peer)).await;
    assert_eq!(ask("2001:db8:1:1::1").await.status, 200);
    assert_eq!(ask("2001:db8:1:2::1").await.status, 200);
    // The third of the network, and the first of its address.
    let denied = ask("2001:db8:1:3::1").await;
    assert_eq!(denied.json()["violated-policies"], json!(["network"]));
    let banned = ask("2001:db8:1:4::1").await;
    assert_eq!(
        banned.json()["violated-policies"],
        json!(["network-ban", "network"])
    );
    assert_eq!(ask("2001:db8:2:1::1").await.status, 200);
}

#[tokio::test]
async fn units_are_taken_in_blocks_as_configured() {
    let redis = RedisServer::start();
    let store = store(&redis);
    let policies = json!([r#""busy";q=1000000;w=1000"#]);
    for (settings, few) in [
        (json!({"policies": policies, "blocks": 0.01}), true),
        (json!({"policies": policies}), false),
    ] {
        let service = configured(&store, settings);
        statuses(&service, 20).await;
        redis.reset_stats();
        assert_eq!(statuses(&service, 200).await, [200; 200]);
        let asked = redis.command_calls().get("evalsha").copied().unwrap_or(0);
        assert_eq!(asked < 20, few, "{asked} of 200");
    }
}

#[tokio::test]
async fn a_denial_is_asked_about_again_as_often_as_configured() {
    let redis = RedisServer::start();
    let store = store(&redis);
    for (settings, asked) in [(json!({"denial_recheck": 0}), 10), (json!({}), 0)] {
        let service = configured(&store, settings);
        statuses(&service, 2).await;
        redis.reset_stats();
        assert_eq!(statuses(&service, 10).await, [429; 10]);
        let evaluated = redis.command_calls().get("evalsha").copied();
        assert_eq!(evaluated.unwrap_or(0), asked);
    }
}

/// Of memory without room for a single state, which is a failure of the store.
#[tokio::test]
async fn a_failure_of_the_store_is_treated_as_configured() {
    let cramped = || {
        let mut limits = MemoryLimits::default();
        limits.rate_limits = 256;
        Store::memory_within(&limits)
    };
    for (failing, expected) in [
        (json!("deny"), [503, 503, 503]),
        (json!("allow"), [200, 200, 200]),
        (json!("local:1"), [200, 429, 429]),
        (json!("local:0.5"), [200, 429, 429]),
    ] {
        let settings = json!({"on_store_error": failing});
        let service = configured(&cramped(), settings);
        assert_eq!(statuses(&service, 3).await, expected, "{failing}");
        // That of a limiter beside it is its own.
        let wide = json!([r#""wide";q=100;w=3600"#]);
        let other = json!({"policies": wide, "key": "global", "on_store_error": failing});
        let settings = json!({"on_store_error": "allow", "and": [other]});
        let service = configured(&cramped(), settings);
        let expected = if failing == "deny" { 503 } else { 200 };
        assert_eq!(statuses(&service, 3).await, [expected; 3], "{failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_configured() {
    for (seconds, status) in [(3_600.0, 200), (3_599.0, 429)] {
        let settings = json!({"max_wait": {"seconds": seconds, "queue": 1}});
        let service = configured(&Store::memory(), settings);
        assert_eq!(statuses(&service, 2).await, [200, status], "{seconds}");
    }
    let times = json!({"ban": {"name": "b", "denials": 1, "within": 1, "lasting": 7.5}});
    let service = configured(&Store::memory(), times);
    assert_eq!(statuses(&service, 2).await, [200, 429]);
    assert_eq!(request(&service).await.retry_after(), Some(3_600));
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(statuses(&service, 1).await, [200]);
}
