//! Stored sessions that this version of the application cannot read.

use serde_json::json;
use tower_keep::session::SessionLayer;

use super::{on_all_stores, stand::Stand};
use crate::harness::connected::{PATIENT, connected};

on_all_stores!(
    a_value_of_another_type_counts_as_absent,
    a_value_that_is_no_integer_is_counted_from_zero,
    values_of_any_shape_read_back,
);

async fn a_value_of_another_type_counts_as_absent(stand: Stand) {
    let client = stand.logged_in("ada").await;
    client
        .visit(async |session| {
            assert_eq!(session.get::<u32>("user").await.unwrap(), None);
            let updated = session.update("user", |old: Option<u32>| {
                assert_eq!(old, None);
                7
            });
            assert_eq!(updated.await.unwrap(), 7);
        })
        .await;
    assert_eq!(client.get("user").await, Some(json!(7)));
}

async fn a_value_that_is_no_integer_is_counted_from_zero(stand: Stand) {
    let client = stand.client();
    let odd = [
        json!("3"),
        json!(1.5),
        json!(null),
        json!(u64::MAX),
        json!([1]),
    ];
    for value in &odd {
        client
            .visit(async |session| session.insert("n", value).unwrap())
            .await;
        let sum = client.visit(async |session| session.increment("n", 2).await.unwrap());
        assert_eq!(sum.await, 2, "{value}");
        client
            .visit(async |session| session.insert("n", value).unwrap())
            .await;
        let local = client.visit(async |session| {
            session.insert("m", value).unwrap();
            session.increment("m", 2).await.unwrap()
        });
        assert_eq!(local.await, 2, "{value}");
    }
}

async fn values_of_any_shape_read_back(stand: Stand) {
    let client = stand.client();
    let values = [
        ("", json!("")),
        ("m", json!("a key that looks like metadata")),
        ("u", json!("another")),
        ("d:", json!({"a": [1, 2.5, null, true], "ü": "\u{0}\r\n"})),
        ("key with \r\n and ü", json!(i64::MIN)),
        ("big", json!("x".repeat(60_000))),
    ];
    client
        .visit(async |session| {
            for (key, value) in &values {
                session.insert(key, value).unwrap();
            }
        })
        .await;
    for (key, value) in values {
        assert_eq!(client.get(key).await, Some(value), "{key}");
    }
    client
        .visit(async |session| session.remove("m").unwrap())
        .await;
    assert_eq!(client.get("m").await, None);
    assert_eq!(client.get("").await, Some(json!("")));
}

#[tokio::test]
async fn a_broken_value_counts_as_absent_and_the_rest_reads_on() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    let key = stand.only_key();
    stand.server().command(&["HSET", &key, "d:user", "{broken"]);
    assert_eq!(client.get("user").await, None);
    assert_eq!(client.get("k").await, Some(json!(1)));
}

/// What stands under a key. The fields of a hash have no order.
fn content(stand: &Stand, key: &str) -> Vec<Vec<u8>> {
    match stand.server().query::<String>(&["TYPE", key]).as_str() {
        "hash" => {
            let parts: Vec<Vec<u8>> = stand.server().query(&["HGETALL", key]);
            let mut pairs: Vec<_> = parts.chunks(2).map(|pair| pair.join(&b'=')).collect();
            pairs.sort_unstable();
            pairs
        }
        _ => vec![stand.server().query(&["DUMP", key])],
    }
}

#[tokio::test]
async fn a_session_without_its_metadata_or_under_another_type_counts_as_absent() {
    for damage in [
        &["HDEL", "m"][..],
        &["HSET", "m", ""],
        &["HSET", "m", "long ago"],
        &[
            "HSET",
            "m",
            "=aaaaaaaaaaaaaaaa long ago, and nobody knows how long ago it was.",
        ],
        &[
            "HSET",
            "m",
            "=aaaaaaaaaaaaaaaa00000000000x00000000000x00000000000x00000000000",
        ],
        // The mark, the time of its creation and its size, of what else is as it was.
        &["HSET", "m", "#", "0"],
        &["HSET", "m", "x", "17"],
        &["HSET", "m", "g", "60"],
        &["SET", "a string"],
        &["LPUSH", "a list"],
    ] {
        let stand = Stand::redis().await;
        let client = stand.logged_in("ada").await;
        let id = client.id();
        let key = stand.only_key();
        if damage[0] == "LPUSH" {
            stand.server().command(&["DEL", &key]);
        }
        match damage {
            [_, _, damaged, at] => {
                let mut meta: String = stand.server().query(&["HGET", &key, "m"]);
                let at: usize = at.parse().unwrap();
                meta.replace_range(at..=at, damaged);
                stand.server().command(&["HSET", &key, "m", &meta]);
            }
            _ => {
                let command = [&[damage[0], key.as_str()], &damage[1..]].concat();
                stand.server().command(&command);
            }
        }
        let broken = content(&stand, &key);
        assert_eq!(client.get("user").await, None, "{damage:?}");
        let increments = client.copy();
        let sum = increments.visit(async |session| session.increment("n", 1).await.unwrap());
        assert_eq!(sum.await, 1, "{damage:?}");
        client
            .visit(async |session| session.destroy().await.unwrap())
            .await;
        let renews = client.another();
        renews.plant(&id.clone().unwrap());
        renews.visit(async |session| session.renew().unwrap()).await;
        client.plant(&id.clone().unwrap());
        client
            .visit(async |session| session.insert("k", 1).unwrap())
            .await;
        assert_ne!(client.id(), id, "{damage:?}");
        assert_eq!(client.get("k").await, Some(json!(1)));
        // What cannot be read is left alone.
        assert_eq!(content(&stand, &key), broken);
    }
}

#[tokio::test]
async fn changes_do_not_reach_another_session_under_the_same_key() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    let key = stand.only_key();
    client
        .visit(async |session| {
            session.exists().await.unwrap();
            // As a restored backup or a stray hand would.
            let mut meta: String = stand.server().query(&["HGET", &key, "m"]);
            meta.replace_range(1..17, "anotherssession1");
            stand.server().command(&["HSET", &key, "m", &meta]);
            session.insert("k", 1).unwrap();
        })
        .await;
    assert_eq!(client.get("k").await, None);
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

/// RESP3 answers a hash as a map.
#[tokio::test]
async fn a_session_reads_back_over_resp3() {
    let stand = Stand::redis().await;
    let url = format!("{}?protocol=resp3", stand.server().url());
    let store = connected(&url, PATIENT).await;
    let stand = stand.with(|_| SessionLayer::new(store));
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    assert_eq!(old.get("user").await, Some(json!("ada")));
    assert_eq!(client.get("user").await, Some(json!("ada")));
}
