//! What clients get while the store fails.

use std::time::{Duration, Instant};

use super::stand::Stand;

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
