//! What clients get while the store fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Request;
use tokio::sync::Notify;

use super::stand::{Stand, eventually, ok};

const DEADLINE: Duration = Duration::from_millis(300);
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

async fn ready_again(stand: &Stand) {
    let start = Instant::now();
    while stand.store.ping().await.is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "never connected again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_origin_answers_while_the_store_is_down_and_the_cache_comes_back() {
    let mut stand = Stand::redis_within(DEADLINE).await;
    let site = stand.counting(&[FRESH]);
    site.get("/").await;
    stand.server_mut().kill();
    for _ in 0..3 {
        let reply = site.get("/down").await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.cache_status(),
            "fwd=miss; fwd-status=200; detail=store-unavailable"
        );
    }
    let post = site.send("POST", "/down", &[]).await;
    assert_eq!(post.status, 200);
    stand.server_mut().restart();
    ready_again(&stand).await;
    assert_eq!(
        site.get("/up").await.cache_status(),
        "fwd=uri-miss; fwd-status=200; stored"
    );
    assert!(site.get("/up").await.is_hit());
}

#[tokio::test]
async fn a_frozen_store_delays_a_request_by_its_deadline_at_most() {
    let stand = Stand::redis_within(DEADLINE).await;
    let site = stand.counting(&[FRESH]);
    stand.server().pause();
    let start = Instant::now();
    let reply = site.get("/").await;
    let elapsed = start.elapsed();
    stand.server().resume();
    assert_eq!(reply.body, "1");
    assert!(reply.cache_status().ends_with("detail=store-unavailable"));
    // Twice would be a second call that waited.
    assert!(elapsed < DEADLINE * 2, "{elapsed:?}");
    ready_again(&stand).await;
    site.get("/").await;
    assert!(site.get("/").await.is_hit());
}

/// Fields of the only hash, by their first letter: `h` and `b` come in pairs.
fn fields(stand: &Stand) -> String {
    let keys = stand.server().keys("*:cache:*");
    assert_eq!(keys.len(), 1, "{keys:?}");
    let fields = stand.server().query::<Vec<String>>(&["HKEYS", &keys[0]]);
    let mut letters: Vec<_> = fields.iter().map(|field| &field[..1]).collect();
    letters.sort_unstable();
    letters.concat()
}

#[tokio::test]
async fn a_redis_at_its_memory_limit_stores_no_response_and_keeps_what_it_has() {
    let stand = Stand::redis().await;
    let (asked, answer) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (begun, go) = (asked.clone(), answer.clone());
    let site = stand.site(move |request: Request<String>| {
        let (begun, go) = (begun.clone(), go.clone());
        async move {
            let value = request.headers()["x"].to_str().unwrap().to_owned();
            if value == "2" {
                begun.notify_one();
                go.notified().await;
            }
            Ok(ok(&[FRESH, ("vary", "x")], value))
        }
    });
    let get = async |value| site.send("GET", "/", &[("x", value)]).await;
    get("1").await;
    eventually(|| fields(&stand) == "bghiv").await;

    let waiting = tokio::spawn({
        let site = site.clone();
        async move { site.send("GET", "/", &[("x", "2")]).await }
    });
    asked.notified().await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    answer.notify_one();
    assert_eq!(waiting.await.unwrap().body, "2");
    eventually(|| {
        server
            .query::<String>(&["INFO", "errorstats"])
            .contains("errorstat_OOM")
    })
    .await;
    // What is there of the second is the announcement, which lapses.
    assert_eq!(fields(&stand), "bghilnv");
    assert!(get("1").await.is_hit());

    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    answer.notify_one();
    assert_eq!(get("2").await.body, "2");
    eventually(|| fields(&stand).starts_with("bbghhi")).await;
    assert!(get("1").await.is_hit() && get("2").await.is_hit());
    server.assert_every_key_has_a_ttl();
}
