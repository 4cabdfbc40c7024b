//! Redis dies, freezes, and comes back, with its data or without.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{eventually, example::PATIENT, redis::RedisServer};

const DOWN: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

#[tokio::test]
async fn a_login_survives_a_restart_of_the_server_and_of_a_persistent_redis() {
    let persistent = RedisServer::config().persistent();
    let mut stand = Stand::with_redis(persistent, &PATIENT).await;
    let id = stand.logged_in("ada").await.id().unwrap();
    stand.restart(&[]);
    let client = stand.with_id(&id);
    assert_eq!(client.me().await, (StatusCode::OK, Some(1)));

    stand.server_mut().kill();
    assert_problem(&client.get("/me").await, DOWN);
    assert_eq!(client.id().unwrap(), id, "a 503 leaves the cookie alone");
    stand.server_mut().restart();
    eventually("Redis is found again", async || client.me().await.0 != DOWN).await;
    assert_eq!(client.me().await.0, StatusCode::OK);
    assert_eq!(client.id().unwrap(), id);
}

#[tokio::test]
async fn without_a_store_what_needs_a_session_is_503_and_the_rest_goes_on() {
    let mut stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    client.get("/events").await;
    let id = client.id();
    stand.server_mut().kill();
    for _ in 0..3 {
        assert_problem(&client.get("/me").await, DOWN);
        assert_problem(&client.get("/session/cart").await, DOWN);
        assert_problem(&client.login("ada").await, DOWN);
        assert_problem(&stand.client().login("ada").await, DOWN);
        let logout = client.ask(Method::POST, "/logout").await;
        assert_problem(&logout, DOWN);
        let write = client.put("/session/cart", json!(1)).await;
        assert_eq!(write, DOWN);
        let event = client.post_json("/events", &json!({"title": "Tea"})).await;
        assert_problem(&event, DOWN);
        for public in ["/events", "/events?page=2", "/events/1", "/users/1"] {
            assert_eq!(client.status(public).await, StatusCode::OK, "{public}");
        }
        assert_eq!(stand.client().me().await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(client.id(), id);
}

#[tokio::test]
async fn without_a_store_the_limits_go_on_by_themselves() {
    let mut stand = Stand::redis().await;
    stand.restart(&["--limit", r#""burst";q=20;w=3600"#]);
    stand.client().get("/events").await;
    stand.server_mut().kill();
    let client = stand.client();
    let mut admitted = 0;
    for _ in 0..40 {
        let reply = client.get("/events").await;
        assert!(
            reply
                .header("ratelimit-policy")
                .unwrap()
                .contains("\"burst\";q=")
        );
        match reply.status {
            StatusCode::OK => admitted += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }
    assert!((1..=20).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_knows_no_old_login() {
    let mut stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    stand.server_mut().restart();
    eventually("Redis is found again", async || {
        client.status("/session/cart").await != DOWN
    })
    .await;
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
    client.login("ada").await;
    assert_eq!(client.me().await, (StatusCode::OK, Some(1)));
}

#[tokio::test]
async fn every_layer_finds_a_restarted_redis_soon() {
    let mut stand = Stand::redis().await;
    // One whose state is there for a while.
    stand.restart(&["--limit", r#""burst";q=1000;w=3600"#]);
    let client = stand.logged_in("ada").await;
    stand.server_mut().kill();
    assert_problem(&client.get("/me").await, DOWN);
    stand.server_mut().restart();
    let found = Instant::now();
    eventually("all is kept in Redis again", async || {
        let login = client.login("ada").await.status;
        client.get("/events").await;
        client.get("/users/1").await;
        let kinds = ["session", "cache", "user", "rate_limit"];
        let kept = |kind| !stand.server().keys(&format!("keep:{kind}:*")).is_empty();
        login == StatusCode::OK && kinds.into_iter().all(kept)
    })
    .await;
    // One second is the aim; the rest is for a machine that is busy with other tests.
    assert!(
        found.elapsed() < Duration::from_secs(5),
        "{:?}",
        found.elapsed()
    );
}

#[tokio::test]
async fn a_frozen_redis_makes_no_request_wait_for_long() {
    // With the store's own deadline of 50 ms.
    let stand = Stand::with_redis(RedisServer::config(), &[]).await;
    let mut id = None;
    eventually("a login", async || {
        let client = stand.client();
        client.login("ada").await;
        id = client.id();
        id.is_some()
    })
    .await;
    let id = id.unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let visitors = (0..16).map(|n| {
        let (client, id) = (stand.client(), id.clone());
        async move {
            let mut slowest = Duration::ZERO;
            while Instant::now() < until {
                client.plant(&id);
                let path = ["/events", "/me", "/users/1", "/session/cart"][n % 4];
                let asked = Instant::now();
                let status = client.status(path).await;
                slowest = slowest.max(asked.elapsed());
                let fine = [StatusCode::OK, StatusCode::NOT_FOUND, DOWN].contains(&status);
                assert!(fine, "{path}: {status}");
                // A load that leaves other tests a part of the machine.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            slowest
        }
    });
    let mut visitors = visitors.collect::<JoinSet<_>>();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stand.server().pause();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stand.server().resume();
    while let Some(slowest) = visitors.join_next().await {
        // A request that waited for Redis itself would take 1.5 s.
        let slowest = slowest.unwrap();
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    }
    let client = stand.with_id(&id);
    eventually("the login is good again", async || {
        client.me().await.0 == StatusCode::OK
    })
    .await;
}
