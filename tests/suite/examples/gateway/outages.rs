//! Redis dies, freezes and comes back while the gateway serves.

use std::time::{Duration, Instant};

use http::{Request, StatusCode};

use super::stand::{Stand, answer, page, start, stored};
use crate::harness::{client::Client, eventually, origin::Origin, redis::RedisServer};

const LIMIT: [&str; 2] = ["--limit", "\"hour\";q=5;w=3600"];

#[tokio::test]
async fn an_unreachable_redis_at_the_start_is_found_later() {
    let mut redis = RedisServer::start();
    redis.kill();
    let stand = Stand::on_redis(&redis, &LIMIT, page);
    let client = stand.client();
    assert_eq!(client.get("/_health/live").await.status, StatusCode::OK);
    assert_eq!(
        client.get("/_health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(client.get("/a").await.status, StatusCode::OK);
    redis.restart();
    eventually("it is ready", async || {
        client.get("/_health/ready").await.status == StatusCode::OK
    })
    .await;
    client.get("/b").await;
    eventually("it is stored", async || {
        !redis.keys("keep:cache:*").is_empty()
    })
    .await;
}

#[tokio::test]
async fn killed_and_restarted_in_the_middle_nothing_fails_and_the_limit_is_exact_again() {
    let mut redis = RedisServer::config().persistent().start();
    let stand = Stand::on_redis(&redis, &LIMIT, page);
    let client = stand.client();
    for path in ["/a", "/a"] {
        assert_eq!(client.get(path).await.status, StatusCode::OK);
    }
    stored(&redis).await;
    redis.kill();
    let degraded = client.get("/a").await;
    assert_eq!(degraded.status, StatusCode::OK);
    let detail = degraded.header("cache-status").unwrap();
    assert!(detail.contains("detail=store-unavailable"), "{detail}");
    redis.restart();
    eventually("it is ready", async || {
        client.get("/_health/ready").await.status == StatusCode::OK
    })
    .await;
    // Two were counted before the outage; three are left of five.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.get("/a").await.status);
    }
    let ok = StatusCode::OK;
    assert_eq!(statuses, [ok, ok, ok, StatusCode::TOO_MANY_REQUESTS]);
}

#[tokio::test]
async fn without_a_store_the_limit_does_what_its_flag_says() {
    let mut redis = RedisServer::start();
    redis.kill();
    for (policy, expected) in [("allow", 20), ("deny", 0)] {
        let flags = [&LIMIT[..], &["--limit-on-store-error", policy]].concat();
        let stand = Stand::on_redis(&redis, &flags, page);
        let mut admitted = 0;
        for _ in 0..20 {
            let reply = stand.client().get("/").await;
            if reply.status == StatusCode::OK {
                admitted += 1;
            } else {
                assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(reply.header("retry-after").is_some());
                let kind: serde_json::Value = reply.json();
                let kind = kind["type"].as_str().unwrap().to_owned();
                assert!(kind.ends_with("#temporary-reduced-capacity"), "{kind}");
            }
        }
        assert_eq!(admitted, expected, "{policy}");
    }
    let stand = Stand::on_redis(&redis, &LIMIT, page);
    let mut admitted = 0;
    for _ in 0..20 {
        let status = stand.client().get("/").await.status;
        assert!(
            [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS].contains(&status),
            "{status}"
        );
        admitted += usize::from(status == StatusCode::OK);
    }
    assert!((1..=5).contains(&admitted), "local: {admitted}");
}

#[tokio::test]
async fn a_frozen_redis_costs_a_request_the_deadline_and_the_next_ones_nothing() {
    let redis = RedisServer::start();
    let origin = Origin::start(page);
    let url = redis.url();
    let flags = ["--store", &url, "--store-timeout-ms", "300"];
    let gateway = start(origin.addr(), &[&flags[..], &LIMIT].concat());
    let client = Client::http1(gateway.addr());
    eventually("it is ready", async || {
        client.get("/_health/ready").await.status == StatusCode::OK
    })
    .await;
    redis.pause();
    let asked = Instant::now();
    assert_eq!(client.get("/a").await.status, StatusCode::OK);
    let first = asked.elapsed();
    let asked = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.get("/a").await.status, StatusCode::OK);
    }
    let next = asked.elapsed();
    redis.resume();
    // Limit and lookup would be two deadlines; a busy machine is allowed a good deal.
    assert!(
        first >= Duration::from_millis(250) && first < Duration::from_millis(550),
        "{first:?}"
    );
    assert!(next < Duration::from_millis(280), "{next:?}");
    eventually("it is ready again", async || {
        client.get("/_health/ready").await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_stale_page_answers_for_an_origin_that_is_gone_unless_forbidden() {
    for (directives, expected) in [
        ("max-age=1", StatusCode::OK),
        ("max-age=1, must-revalidate", StatusCode::BAD_GATEWAY),
    ] {
        let origin = Origin::start(move |_: Request<_>| async move {
            answer(
                &[
                    ("cache-control", directives),
                    ("age", "1"),
                    ("etag", "\"1\""),
                ],
                "page",
            )
        });
        let gateway = start(origin.addr(), &[]);
        let client = Client::http1(gateway.addr());
        assert_eq!(client.get("/a").await.status, StatusCode::OK);
        drop(origin);
        assert_eq!(client.get("/a").await.status, expected, "{directives}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_in_the_log_and_never_printed() {
    let redis = RedisServer::config().password("right").start();
    let url = format!("redis://:wr0ng-secret@{}", redis.addr());
    let origin = Origin::start(page);
    let gateway = start(origin.addr(), &["--store", &url]);
    let client = Client::http1(gateway.addr());
    assert_eq!(client.get("/a").await.status, StatusCode::OK);
    assert_eq!(
        client.get("/_health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    gateway.wait_for_log("cannot connect to Redis");
    assert!(!gateway.log().contains("wr0ng-secret"));
}
