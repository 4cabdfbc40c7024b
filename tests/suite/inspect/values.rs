//! What stands under a key, and for how long.

use serde_json::json;
use tower_keep::{
    StoreConfig,
    inspect::{Inspector, Ttl},
    refresh_token::{Grant, RefreshTokens},
};

use super::{HOUR, Stand, on_each_topology};
use crate::harness::{eventually, redis::RedisServer};

on_each_topology!(
    a_value_is_shown_decoded_with_its_time_to_live,
    what_is_not_there_is_nothing,
    other_kinds_of_data_are_shown_too,
    of_what_has_many_parts_the_first_thousand_are_shown,
    of_a_huge_value_the_beginning_is_shown,
);

async fn a_value_is_shown_decoded_with_its_time_to_live(stand: Stand) {
    let users = stand.values("keep", "user");
    users
        .set("42", &json!({"name": "Ada"}), HOUR)
        .await
        .unwrap();
    users.set_without_ttl("43", "for ever").await.unwrap();
    let shown = stand.inspector.value("user:42").await.unwrap().unwrap();
    assert_eq!(shown["value"], json!({"name": "Ada"}), "{shown}");
    let Ttl::For(left) = stand.inspector.ttl("user:42").await.unwrap() else {
        panic!("it has a time to live");
    };
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    assert_eq!(stand.inspector.ttl("user:43").await.unwrap(), Ttl::Eternal);
    let size = stand.inspector.size("user:42").await.unwrap();
    assert_eq!(size.is_some(), stand.backend.is_some());
}

async fn what_is_not_there_is_nothing(stand: Stand) {
    stand.users("other", 1).await;
    for name in ["user:0", "", "é", "a b", "*"] {
        assert_eq!(stand.inspector.value(name).await.unwrap(), None);
        assert_eq!(stand.inspector.ttl(name).await.unwrap(), Ttl::NoKey);
        assert_eq!(stand.inspector.size(name).await.unwrap(), None);
    }
}

async fn of_what_has_many_parts_the_first_thousand_are_shown(stand: Stand) {
    let Some(backend) = &stand.backend else {
        // Its own kinds of data are bounded.
        return;
    };
    for (name, fill) in [
        ("hash", "redis.call('HSET', KEYS[1], i, i)"),
        ("set", "redis.call('SADD', KEYS[1], 'm' .. i)"),
        ("sorted", "redis.call('ZADD', KEYS[1], i, i)"),
    ] {
        for (count, least, most) in [(900, 900, 900), (20_000, 1_000, 1_100)] {
            let key = format!("keep:{name}");
            let script = format!(
                "for i = 1, {count} do {fill} end redis.call('EXPIRE', KEYS[1], 60) return 1"
            );
            backend.command(&["EVAL", &script, "1", &key]);
            let shown = stand.inspector.value(name).await.unwrap().unwrap();
            let parts = match &shown {
                serde_json::Value::Array(members) => members.len(),
                fields => fields.as_object().unwrap().len(),
            };
            assert!((least..=most).contains(&parts), "{name}: {parts}");
        }
    }
}

async fn of_a_huge_value_the_beginning_is_shown(stand: Stand) {
    const MIB: usize = 1 << 20;
    let users = stand.values("keep", "user");
    users.set("42", &"x".repeat(5 * MIB), HOUR).await.unwrap();
    let shown = stand.inspector.value("user:42").await.unwrap().unwrap();
    assert_eq!(shown["head"], json!({"v": 1}));
    let length = shown["value"].as_str().unwrap().len();
    assert!((MIB - 100..=MIB).contains(&length), "{length}");
    assert!(stand.inspector.delete("user:42").await.unwrap());
}

async fn other_kinds_of_data_are_shown_too(stand: Stand) {
    let tokens = RefreshTokens::new(stand.store.clone());
    let issued = tokens.issue(Grant::new("ada", "web")).await.unwrap();
    let names = stand.names("refresh_token:*").await;
    assert_eq!(names.len(), 1);
    let shown = stand.inspector.value(&names[0]).await.unwrap().unwrap();
    assert!(shown.is_object(), "{shown}");
    assert!(!shown.to_string().contains(&issued.token.expose()[30..]));
    let left = stand.inspector.ttl(&names[0]).await.unwrap();
    assert!(matches!(left, Ttl::For(left) if left > HOUR), "{left:?}");
    let Some(backend) = &stand.backend else {
        return;
    };
    for (name, words) in [
        ("keep:set", &["SADD", "keep:set", "a"][..]),
        ("keep:sorted", &["ZADD", "keep:sorted", "1", "a"]),
        ("keep:list", &["RPUSH", "keep:list", "a"]),
    ] {
        backend.command(words);
        backend.command(&["EXPIRE", name, "60"]);
    }
    assert_eq!(
        stand.inspector.value("set").await.unwrap(),
        Some(json!(["a"]))
    );
    assert_eq!(
        stand.inspector.value("sorted").await.unwrap(),
        Some(json!({"a": 1}))
    );
    assert_eq!(
        stand.inspector.value("list").await.unwrap(),
        Some(json!({"type": "list"}))
    );
}

#[tokio::test]
async fn what_a_server_answers_by_resp3_reads_as_by_resp2() {
    let redis = RedisServer::start();
    redis.command(&["SADD", "keep:set", "ada"]);
    redis.command(&["ZADD", "keep:sorted", "1.5", "ada", "1795614858000", "eve"]);
    redis.command(&["HSET", "keep:hash", "name", "ada", "age", "36"]);
    redis.command(&["SET", "keep:text", "ada"]);
    let inspector = |protocol| {
        let url = format!("{}?protocol={protocol}", redis.url());
        Inspector::new(StoreConfig::from_url(&url).unwrap().build().unwrap())
    };
    let (resp2, resp3) = (inspector(2), inspector(3));
    for inspector in [&resp2, &resp3] {
        eventually("it answers", async || inspector.memory().await.is_ok()).await;
        assert!(inspector.slow_commands(10).await.is_ok());
        assert_eq!(inspector.size("none").await.unwrap(), None);
        let mut keys = inspector.keys("*");
        let mut count = 0;
        while let Some(key) = keys.next().await {
            key.unwrap();
            count += 1;
        }
        assert_eq!(count, 4);
    }
    for name in ["set", "sorted", "hash", "text", "none"] {
        let expected = resp2.value(name).await.unwrap();
        assert_eq!(resp3.value(name).await.unwrap(), expected, "{name}");
        assert_eq!(expected.is_some(), name != "none");
    }
}
