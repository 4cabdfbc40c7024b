//! Health, which no limit and no session gets in the way of.

use http::StatusCode;
use serde_json::Value;

use super::stand::Stand;
use crate::harness::{eventually, example::PATIENT, redis::RedisServer};

const READY: &str = "/_health/ready";

#[tokio::test]
async fn live_and_ready_are_200_on_embedded_memory_whatever_the_limit() {
    let mut stand = Stand::memory();
    stand.restart(&["--limit", r#""tight";q=1;w=3600"#]);
    let client = stand.client();
    for _ in 0..5 {
        for path in ["/_health/live", READY] {
            let reply = client.get(path).await;
            assert_eq!(reply.status, StatusCode::OK);
            assert_eq!(reply.header("ratelimit"), None);
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
}

#[tokio::test]
async fn ready_is_503_while_the_store_is_down_and_live_stays_200() {
    let mut stand = Stand::with_redis(RedisServer::config(), &PATIENT).await;
    let client = stand.client();
    assert_eq!(client.get(READY).await.status, StatusCode::OK);
    stand.server_mut().kill();
    let down = client.get(READY).await;
    assert_eq!(down.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(down.json::<Value>()["status"], "unavailable");
    assert_eq!(client.get("/_health/live").await.status, StatusCode::OK);
    stand.server_mut().restart();
    eventually("it is ready", async || {
        client.get(READY).await.status == StatusCode::OK
    })
    .await;
}
