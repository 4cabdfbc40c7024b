//! What the cache costs Redis, and what it leaves there.

use std::{collections::BTreeMap, time::Duration};

use deadpool_redis::redis::Value;
use tower_keep::cache::CacheLayer;

use super::stand::{Origin, Site, Stand, eventually, ok};
use crate::harness::{
    connected::{PATIENT, connected},
    proxy::Proxy,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A site on the same store that has nothing in its own memory.
fn elsewhere(stand: &Stand) -> Site {
    let origin = Origin::new(|_| async { Ok(ok(&[FRESH], "elsewhere")) });
    Site::of(&stand.another(), origin)
}

/// Whether every variant that was announced is stored.
fn all_stored(stand: &Stand, keys: usize) -> bool {
    let names = stand.server().keys("*:cache:*");
    let stored = |key: &String| stand.server().query::<bool>(&["HEXISTS", key, "i"]);
    names.len() == keys && names.iter().all(stored)
}

#[tokio::test]
async fn a_hit_is_one_command_and_one_round_trip() {
    let stand = Stand::redis().await;
    let site = stand.counting(&[FRESH, ("vary", "accept")]);
    site.get("/").await;
    eventually(|| all_stored(&stand, 1)).await;

    let proxy = Proxy::start(stand.server().addr());
    let url = format!("redis://{}", proxy.addr());
    let store = connected(&url, PATIENT).await;
    let far = Site::of(
        &CacheLayer::new(store),
        Origin::new(|_| async { unreachable!() }),
    );
    // The first one learns by what the responses vary.
    assert!(far.get("/").await.is_hit());
    stand.server().reset_stats();
    let trips = proxy.round_trips();
    for _ in 0..10 {
        assert!(far.get("/").await.is_hit());
    }
    let expected = BTreeMap::from([("hmget".to_owned(), 10)]);
    assert_eq!(stand.server().command_calls(), expected);
    assert_eq!(proxy.round_trips() - trips, 10);
}

#[tokio::test]
async fn what_is_not_stored_leaves_no_key() {
    let stand = Stand::redis().await;
    let site = stand.counting(&[("cache-control", "nO-StOrE")]);
    for _ in 0..2 {
        site.get("/").await;
    }
    assert_eq!(site.hits(), 2);
    eventually(|| stand.server().keys("*:cache:*").is_empty()).await;
}

#[tokio::test]
async fn a_head_that_nothing_answers_is_one_lookup() {
    let stand = Stand::redis().await;
    let site = stand.counting(&[FRESH]);
    stand.server().reset_stats();
    site.send("HEAD", "/", &[]).await;
    let expected = BTreeMap::from([("hmget".to_owned(), 1)]);
    assert_eq!(stand.server().command_calls(), expected);
}

#[tokio::test]
async fn no_secret_is_in_any_key_or_value() {
    const SECRET: &str = "s3cr3t";
    let stand = Stand::redis().await;
    let site = stand.counting(&[
        ("cache-control", "public, max-age=60"),
        ("vary", "cookie, authorization"),
    ]);
    let lines = [("cookie", "id=s3cr3t"), ("authorization", "Bearer s3cr3t")];
    site.send("GET", "/s3cr3t?token=s3cr3t", &lines).await;
    eventually(|| all_stored(&stand, 1)).await;
    let key = &stand.server().keys("*:cache:*")[0];
    assert!(!key.contains(SECRET), "{key}");
    let fields: Vec<Vec<u8>> = stand.server().query(&["HGETALL", key]);
    for field in fields {
        let text = String::from_utf8_lossy(&field).into_owned();
        assert!(!text.contains(SECRET), "{text}");
    }
    stand.server().assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn variants_are_capped_and_the_oldest_go_first() {
    let stand = Stand::redis().await;
    let stand = stand.with(|layer| layer.with_max_variants(4));
    let site = stand.counting(&[FRESH, ("vary", "x")]);
    for n in 0..50 {
        site.send("GET", "/", &[("x", &n.to_string())]).await;
    }
    let heads = || {
        let key = stand.server().keys("*:cache:*").pop().unwrap();
        let names: Vec<String> = stand.server().query(&["HKEYS", &key]);
        names.iter().filter(|name| name.starts_with('h')).count()
    };
    eventually(|| heads() == 4).await;
    let hits = site.hits();
    site.send("GET", "/", &[("x", "0")]).await;
    assert_eq!(site.hits(), hits + 1);
    stand.server().assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn every_key_has_a_ttl_while_a_fill_is_under_way_and_after() {
    let stand = Stand::redis().await;
    let site = stand.site(|_| std::future::pending());
    let pending = tokio::spawn({
        let site = site.clone();
        async move { site.get("/pending").await }
    });
    stand.counting(&[FRESH]).get("/stored").await;
    eventually(|| stand.server().keys("*:cache:*").len() == 2).await;
    stand.server().assert_every_key_has_a_ttl();
    pending.abort();
}

#[tokio::test]
async fn bytes_that_cannot_be_read_are_a_miss() {
    let stand = Stand::redis().await;
    let site = stand.counting(&[FRESH]);
    site.get("/").await;
    eventually(|| all_stored(&stand, 1)).await;
    let key = &stand.server().keys("*:cache:*")[0];
    let fields: Vec<String> = stand.server().query(&["HKEYS", key]);
    let head = fields.iter().find(|name| name.starts_with('h')).unwrap();
    for damaged in ["", "\u{1}", "\u{7f}another version", "\u{1}garbage"] {
        stand.server().command(&["HSET", key, head, damaged]);
        let reply = elsewhere(&stand).get("/").await;
        assert_eq!(
            (reply.status, &*reply.body),
            (200, "elsewhere"),
            "{damaged}"
        );
        eventually(|| {
            let found: Value = stand.server().command(&["HGET", key, head]);
            found != Value::BulkString(damaged.as_bytes().to_vec())
        })
        .await;
    }
}

#[tokio::test]
async fn flushed_scripts_lose_nothing() {
    let stand = Stand::redis().await;
    let site = stand.counting(&[FRESH]);
    for n in 0..5 {
        stand.server().flush_scripts();
        site.get(&format!("/{n}")).await;
        eventually(|| all_stored(&stand, n + 1)).await;
    }
}

#[tokio::test]
async fn behind_a_slow_network_a_response_is_reusable_right_after_its_last_byte() {
    let stand = Stand::redis().await;
    let proxy = Proxy::start(stand.server().addr());
    let url = format!("redis://{}", proxy.addr());
    let store = connected(&url, PATIENT).await;
    let delay = Duration::from_millis(30);
    proxy.delay(delay, delay);
    let site = Site::of(
        &CacheLayer::new(store),
        Origin::new(|_| async { Ok(ok(&[FRESH, ("vary", "x")], "body")) }),
    );
    for lines in [
        &[][..],
        &[("x", "1")],
        &[("x", "2")],
        &[("authorization", "x")],
    ] {
        let first = site.send("GET", "/", lines).await;
        if lines != [("authorization", "x")] {
            assert!(!first.is_hit());
        }
        assert!(site.send("GET", "/", lines).await.is_hit(), "{lines:?}");
    }
}
