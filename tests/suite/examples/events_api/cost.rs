//! What requests leave in Redis, and what they send there.

use std::collections::BTreeMap;

use serde_json::json;

use super::stand::{Api, Stand};
use crate::harness::{client::Client, eventually};

/// Everything that a visitor can do.
async fn visit(client: &Client) {
    client.get("/events").await;
    client.get("/events/1").await;
    client.login("ada").await;
    client.me().await;
    client.put("/session/cart", json!(["tea"])).await;
    client.get("/session/cart").await;
    client.get("/users/1").await;
    client.put("/users/2", json!({"name": "Ada"})).await;
    client.post_json("/events", &json!({"title": "Tea"})).await;
    client.login("ada").await;
    client.me().await;
}

#[tokio::test]
async fn every_key_has_a_ttl_and_belongs_to_the_namespace() {
    let mut stand = Stand::redis().await;
    // One whose state is there for a while.
    let limit = r#""burst";q=1000;w=3600"#;
    stand.restart(&["--namespace", "platform", "--limit", limit]);
    stand.server().command(&["FLUSHALL"]);
    visit(&stand.client()).await;
    let server = stand.server();
    for kind in ["session", "rate_limit", "cache", "user"] {
        // A response is on its way to the store when the client has it.
        eventually(kind, async || {
            !server.keys(&format!("platform:{kind}:*")).is_empty()
        })
        .await;
    }
    server.assert_every_key_has_a_ttl();
    assert_eq!(server.keys("*"), server.keys("platform:*"));
}

#[tokio::test]
async fn no_id_address_or_url_is_in_a_key() {
    let stand = Stand::redis().await;
    let client = stand.client();
    visit(&client).await;
    let id = client.id().unwrap();
    for key in stand.server().keys("*") {
        for secret in [&*id, "127.0.0.1", "/events"] {
            assert!(!key.contains(secret), "{key}");
        }
    }
}

#[tokio::test]
async fn a_request_sends_nothing_but_its_own_commands() {
    let stand = Stand::redis().await;
    let client = stand.client();
    visit(&client).await;
    stand.server().reset_stats();
    visit(&client).await;
    let calls = stand.server().command_calls();
    for needless in ["ping", "unwatch", "eval", "script|load", "keys", "scan"] {
        assert!(!calls.contains_key(needless), "{calls:?}");
    }
}

#[tokio::test]
async fn a_cached_page_is_one_limit_one_lookup_and_the_stamp_of_its_group() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    let mut calls = BTreeMap::new();
    // Until it is stored, the script of its storing may fall in between.
    eventually("a lookup", async || {
        stand.server().reset_stats();
        client.get("/events").await;
        calls = stand.server().command_calls();
        calls.get("evalsha") == Some(&1)
    })
    .await;
    // What the limit's script calls counts, too. So large a limit has replenished between two
    // requests, so that each of them makes the state anew.
    let expected = ["evalsha", "get", "hget", "hmget", "hset", "pexpire", "time"];
    let expected = expected.map(|name| (name.to_owned(), 1));
    assert_eq!(calls, BTreeMap::from(expected));
}
