//! How much a session may hold, and what a full or failing store means for it.

use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{eventually, redis::RedisServer};

super::on_all_stores!(
    what_would_not_fit_in_a_session_is_413_and_the_session_as_it_was,
    one_clients_large_values_log_nobody_out,
    parallel_writers_stay_within_the_bound_together,
    a_session_has_a_bound_of_keys,
);

async fn what_would_not_fit_in_a_session_is_413_and_the_session_as_it_was(mut stand: Stand) {
    stand.restart(&["--session-bytes", "1000"]);
    let client = stand.logged_in("ada").await;
    let small = "x".repeat(700);
    assert_eq!(client.put("/session/a", json!(small)).await.as_u16(), 204);
    let big = client.send_json(http::Method::PUT, "/session/b", &small);
    assert_problem(&big.await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.status("/session/b").await, StatusCode::NOT_FOUND);
    let kept = client.get("/session/a").await;
    assert_eq!(kept.json::<String>(), small);
    assert_eq!(client.put("/session/a", json!(1)).await.as_u16(), 204);
    assert_eq!(client.put("/session/b", json!(small)).await.as_u16(), 204);
    assert_eq!(client.me().await.0, StatusCode::OK);
}

async fn one_clients_large_values_log_nobody_out(stand: Stand) {
    let mut users = Vec::new();
    for _ in 0..20 {
        users.push(stand.logged_in("ada").await);
    }
    let flood = stand.client();
    let big = json!("x".repeat(1_900_000));
    for n in 0..100 {
        let status = flood.put(&format!("/session/k{n}"), big.clone()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    for user in users {
        assert_eq!(user.me().await.0, StatusCode::OK);
    }
}

async fn parallel_writers_stay_within_the_bound_together(mut stand: Stand) {
    stand.restart(&["--session-bytes", "1000"]);
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let writers = (0..10).map(|n| {
        let writer = stand.with_id(&id);
        let path = format!("/session/k{n}?delay_ms=100");
        async move { writer.put(&path, json!("x".repeat(300))).await.as_u16() }
    });
    let mut statuses = writers.collect::<JoinSet<_>>().join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[204; 3].as_slice(), &[413; 7]].concat());
    let mut kept = 0;
    for n in 0..10 {
        kept += u32::from(client.status(&format!("/session/k{n}")).await == StatusCode::OK);
    }
    assert_eq!(kept, 3);
}

async fn a_session_has_a_bound_of_keys(stand: Stand) {
    let client = stand.client();
    for n in 0..128 {
        let status = client.put(&format!("/session/k{n}"), json!(n)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let status = client.put("/session/another", json!(1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.put("/session/k0", json!(1)).await.as_u16(), 204);
}

#[tokio::test]
async fn a_full_redis_costs_no_read_of_a_session() {
    let mut stand = Stand::with_redis(RedisServer::config(), &[]).await;
    // Every read is one that has to be noted.
    stand.restart(&["--session-idle", "1"]);
    let client = stand.client();
    client.put("/session/a", json!(1)).await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..8 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(client.status("/session/a").await, StatusCode::OK);
    }
    let write = client.put("/session/b", json!(1)).await;
    assert_eq!(write, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_session_that_the_store_refuses_is_one_warning_in_the_log() {
    let mut stand = Stand::redis().await;
    let client = stand.client();
    client.put("/session/a", json!(1)).await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for n in 0..20 {
        let write = client.put(&format!("/session/b{n}"), json!(1)).await;
        assert_eq!(write, StatusCode::SERVICE_UNAVAILABLE);
    }
    let failed = "the store has failed a session";
    let mut log = String::new();
    eventually("a warning", async || {
        log = stand.example().log();
        log.contains(failed)
    })
    .await;
    assert_eq!(log.matches(failed).count(), 1, "{log}");
    assert!(log.contains("WARN") && log.contains("OOM"), "{log}");
}
