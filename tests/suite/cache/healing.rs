//! What somebody else has put into Redis, or what has got lost there, is a miss that heals.

use std::time::{Duration, SystemTime};

use super::stand::{Origin, Site, Stand, eventually, ok};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// A stand with one response stored, and the name of its key.
async fn stored() -> (Stand, String) {
    let stand = Stand::redis().await;
    let site = stand.counting(&[FRESH, ("content-length", "1"), ("vary", "x")]);
    site.send("GET", "/", &[("x", "1")]).await;
    let key = || stand.server().keys("*:cache:*").pop();
    eventually(|| {
        let is_stored = |key: String| stand.server().query::<bool>(&["HEXISTS", &key, "i"]);
        key().is_some_and(is_stored)
    })
    .await;
    let key = key().unwrap();
    (stand, key)
}

/// A process that knows nothing, whose origin's answer is older than what is stored.
fn elsewhere(stand: &Stand) -> Site {
    let origin = Origin::new(move |_| {
        let date = SystemTime::now() - Duration::from_secs(100);
        let date = httpdate::fmt_http_date(date);
        let lines = [
            FRESH,
            ("date", &*date),
            ("content-length", "1"),
            ("vary", "x"),
        ];
        let response = ok(&lines, "e");
        async { Ok(response) }
    });
    Site::of(&stand.another(), origin)
}

/// A process that knows nothing asks its origin, stores that, and the next one has a hit.
async fn assert_heals(stand: &Stand, key: &str, what: &str) {
    let reply = elsewhere(stand).send("GET", "/", &[("x", "1")]).await;
    assert_eq!((reply.status, &*reply.body), (200, "e"), "{what}");
    let status = reply.cache_status();
    assert!(
        status.starts_with("fwd=") && status.ends_with("stored"),
        "{what}: {status}"
    );
    let is_stored = || {
        let kind: String = stand.server().query(&["TYPE", key]);
        kind == "hash" && stand.server().query::<bool>(&["HEXISTS", key, "i"])
    };
    eventually(is_stored).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next = elsewhere(stand).send("GET", "/", &[("x", "1")]).await;
    assert!(next.is_hit(), "{what}: {}", next.cache_status());
    assert_eq!(next.body, "e", "{what}");
    stand.server().assert_every_key_has_a_ttl();
}

/// Runs Lua on the key: arguments of the harness are text.
fn edit(stand: &Stand, key: &str, script: &str) {
    stand.server().command(&["EVAL", script, "1", key]);
}

#[tokio::test]
async fn names_that_are_no_text_are_a_miss_that_heals() {
    for lists in ["\\255\\254\\n", "\\255", "x y\\n", "\\n\\n", "*\\n"] {
        let (stand, key) = stored().await;
        edit(
            &stand,
            &key,
            &format!("return redis.call('HSET', KEYS[1], 'v', '{lists}')"),
        );
        assert_heals(&stand, &key, lists).await;
        let names: Vec<u8> = stand.server().query(&["HGET", &key, "v"]);
        let names = String::from_utf8(names).unwrap();
        assert!(
            names.starts_with("x\n") && !names.contains(' '),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_a_miss_that_heals() {
    for (kind, command) in [
        ("string", "redis.call('SET', KEYS[1], 'x')"),
        ("list", "redis.call('LPUSH', KEYS[1], 'x')"),
        ("set", "redis.call('SADD', KEYS[1], 'x')"),
        ("zset", "redis.call('ZADD', KEYS[1], 1, 'x')"),
    ] {
        let (stand, key) = stored().await;
        let script = format!("redis.call('DEL', KEYS[1]) return {command}");
        edit(&stand, &key, &script);
        assert_heals(&stand, &key, kind).await;
    }
}

#[tokio::test]
async fn fields_that_are_lost_or_damaged_are_a_miss_that_heals() {
    let (stand, key) = stored().await;
    let fields: Vec<String> = stand.server().query(&["HKEYS", &key]);
    assert!(fields.len() >= 5, "{fields:?}");
    for field in fields {
        for damage in ["HDEL", "HSET"] {
            let (stand, key) = stored().await;
            let value: &[&str] = if damage == "HSET" { &["damaged"] } else { &[] };
            let command = [&[damage, &key, &field][..], value].concat();
            stand.server().command(&command);
            // A hit is as good, if that field was not needed for it.
            let what = format!("{damage} {field}");
            let reply = elsewhere(&stand).send("GET", "/", &[("x", "1")]).await;
            if reply.is_hit() {
                assert_eq!(reply.body, "1", "{what}");
                stand.server().assert_every_key_has_a_ttl();
                // Neither is a lost field in the way of what makes it gone, and of the next.
                elsewhere(&stand).send("POST", "/", &[("x", "1")]).await;
                assert_heals(&stand, &key, &what).await;
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let next = elsewhere(&stand).send("GET", "/", &[("x", "1")]).await;
                assert!(next.is_hit(), "{what}: {}", next.cache_status());
                assert_eq!(next.body, "e", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_its_head_says_is_a_miss_that_heals() {
    for body in ["", "12", "much longer than the head says"] {
        let (stand, key) = stored().await;
        let fields: Vec<String> = stand.server().query(&["HKEYS", &key]);
        let field = fields.iter().find(|name| name.starts_with('b')).unwrap();
        stand.server().command(&["HSET", &key, field, body]);
        assert_heals(&stand, &key, body).await;
    }
}

#[tokio::test]
async fn a_body_of_undeclared_length_that_was_cut_is_a_miss_that_heals() {
    let stand = Stand::redis().await;
    stand.counting(&[FRESH]).get("/").await;
    let key = || stand.server().keys("*:cache:*").pop();
    eventually(|| key().is_some_and(|key| stand.server().query::<bool>(&["HEXISTS", &key, "i"])))
        .await;
    let key = key().unwrap();
    let fields: Vec<String> = stand.server().query(&["HKEYS", &key]);
    let field = fields.iter().find(|name| name.starts_with('b')).unwrap();
    stand.server().command(&["HSET", &key, field, ""]);
    assert_heals(&stand, &key, "cut").await;
}
