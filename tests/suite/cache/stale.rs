//! Stale responses: while they are refreshed, and when the origin fails.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    on_all_stores,
    stand::{Answer, Site, Stand, eventually, ok, status},
};

on_all_stores!(
    fifty_clients_get_the_stale_body_at_once_and_one_refresh_is_made,
    a_stale_response_stands_in_for_an_error,
    a_stale_response_stands_in_for_an_origin_that_is_gone,
    must_revalidate_forbids_both,
);

async fn fifty_clients_get_the_stale_body_at_once_and_one_refresh_is_made(stand: Stand) {
    let gate = Arc::new(Semaphore::new(1));
    let (entry, count) = (gate.clone(), AtomicUsize::new(0));
    let site = stand.site(move |_| {
        let (entry, number) = (entry.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            entry.acquire().await.unwrap().forget();
            let lines = [("cache-control", "max-age=1, stale-while-revalidate=10")];
            Ok(ok(&lines, number.to_string()))
        }
    });
    assert_eq!(site.get("/").await.body, "0");
    stand.advance(Duration::from_secs(2)).await;
    for _ in 0..50 {
        // The refresh cannot be done yet: nobody waits for it.
        let reply = site.get("/").await;
        assert_eq!((&*reply.body, reply.cache_status()), ("0", "hit; ttl=-1"));
    }
    gate.add_permits(1);
    eventually(|| site.hits() == 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    if stand.is_redis() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(site.get("/").await.body, "1");
    assert_eq!(site.hits(), 2);
}

/// A site that answers once with these directives, and later with `failure`.
fn failing(stand: &Stand, cache_control: &'static str, failure: fn() -> Answer) -> Site {
    let count = AtomicUsize::new(0);
    stand.site(move |_| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                return Ok(ok(&[("cache-control", cache_control)], "good"));
            }
            failure()
        }
    })
}

fn gone() -> Answer {
    Err(io::ErrorKind::ConnectionRefused.into())
}

async fn a_stale_response_stands_in_for_an_error(stand: Stand) {
    let site = failing(&stand, "max-age=1, stale-if-error=60", || {
        Ok(status(503, &[]))
    });
    site.get("/").await;
    stand.advance(Duration::from_secs(3)).await;
    let reply = site.get("/").await;
    assert_eq!((reply.status, &*reply.body), (200, "good"));
    assert_eq!(
        reply.cache_status(),
        "fwd=stale; fwd-status=503; ttl=-2; detail=stale-if-error"
    );
    stand.advance(Duration::from_secs(60)).await;
    assert_eq!(site.get("/").await.status, 503);
}

async fn a_stale_response_stands_in_for_an_origin_that_is_gone(stand: Stand) {
    let site = failing(&stand, "max-age=1", gone);
    site.get("/").await;
    stand.advance(Duration::from_secs(3)).await;
    let reply = site.get("/").await;
    assert_eq!(
        reply.cache_status(),
        "fwd=stale; ttl=-2; detail=stale-if-error"
    );
    assert_eq!(reply.body, "good");
    let other = site.open(super::stand::request("GET", "/other", &[])).await;
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

async fn must_revalidate_forbids_both(stand: Stand) {
    let directives = "max-age=1, stale-while-revalidate=60, stale-if-error=60, must-revalidate";
    let site = failing(&stand, directives, gone);
    site.get("/").await;
    stand.advance(Duration::from_secs(3)).await;
    let failed = site.open(super::stand::request("GET", "/", &[])).await;
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(site.hits(), 2);
}
