//! Caching through the whole program; the layer's own tests say the rest.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request, StatusCode};

use super::stand::{Stand, answer, page, stored};
use crate::harness::{body, eventually, redis::RedisServer};

#[tokio::test]
async fn a_second_gateway_on_the_same_redis_has_the_hit() {
    let redis = RedisServer::start();
    let first = Stand::on_redis(&redis, &[], page);
    let second = Stand::on_redis(&redis, &[], page);
    let ask = || {
        Request::get("/a")
            .header("host", "shop.example")
            .body(body::empty())
            .unwrap()
    };
    first.client().send(ask()).await;
    // The response is with its client before it is in Redis.
    stored(&redis).await;
    let hit = second.client().send(ask()).await;
    assert!(
        hit.header("cache-status").unwrap().contains("hit"),
        "{hit:?}"
    );
    assert_eq!(second.origin.hits(), 0);
}

#[tokio::test]
async fn what_is_not_to_be_stored_leaves_no_key() {
    let redis = RedisServer::start();
    let stand = Stand::on_redis(&redis, &[], async |_| {
        answer(&[("cache-control", "nO-StOrE, max-age=60")], "secret")
    });
    for _ in 0..2 {
        stand.client().get("/a").await;
    }
    assert_eq!(stand.origin.hits(), 2);
    eventually("the announcements are taken back", async || {
        redis.keys("*").is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_write_makes_the_next_read_new() {
    let version = Arc::new(AtomicUsize::new(1));
    let stand = Stand::start(&[], move |request: Request<_>| {
        let version = match *request.method() {
            Method::POST => version.fetch_add(1, Ordering::Relaxed) + 1,
            _ => version.load(Ordering::Relaxed),
        };
        async move { answer(&[("cache-control", "max-age=60")], &version.to_string()) }
    });
    let client = stand.client();
    assert_eq!(client.get("/a").await.text(), "1");
    assert_eq!(client.get("/a").await.text(), "1");
    client.ask(Method::POST, "/a").await;
    assert_eq!(client.get("/a").await.text(), "2");
}

#[tokio::test]
async fn set_cookie_is_refused_stripped_or_stored_by_the_flag() {
    for (policy, hits, cookie) in [("refuse", 2, true), ("strip", 1, false), ("store", 1, true)] {
        let stand = Stand::start(&["--cache-set-cookie", policy], async |_| {
            answer(
                &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
                "page",
            )
        });
        let client = stand.client();
        assert!(
            client.get("/a").await.header("set-cookie").is_some(),
            "{policy}"
        );
        assert_eq!(
            client.get("/a").await.header("set-cookie").is_some(),
            cookie,
            "{policy}"
        );
        assert_eq!(stand.origin.hits(), hits, "{policy}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_passes_whole_and_unstored() {
    let big = "x".repeat(100_000);
    let stand = Stand::start(&["--max-body", "65536"], move |_| {
        let response = answer(&[("cache-control", "max-age=60")], &big);
        async move { response }
    });
    for _ in 0..2 {
        let reply = stand.client().get("/big").await;
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 100_000));
    }
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn a_name_of_its_own_is_in_cache_status_and_via() {
    let stand = Stand::start(&["--cache-name", "edge1"], page);
    let reply = stand.client().get("/a").await;
    assert!(
        reply
            .header("cache-status")
            .unwrap()
            .starts_with("edge1; fwd=uri-miss")
    );
    assert_eq!(reply.header("via"), Some("1.1 edge1"));
}
