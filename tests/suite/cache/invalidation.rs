//! What takes stored responses out again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use tokio::sync::Notify;

use super::{
    on_all_stores,
    stand::{Origin, Reply, Site, Stand, eventually, ok, request, status},
};

on_all_stores!(
    a_successful_post_takes_every_variant_along,
    a_failed_post_or_a_foreign_location_takes_nothing,
    location_of_the_same_origin_goes_too,
    a_fill_overtaken_by_a_post_reaches_its_own_client_only,
    a_fill_overtaken_by_a_post_in_another_process_reaches_its_own_client_only,
    an_answer_that_is_not_stored_takes_what_it_supersedes_along,
    an_answer_that_is_not_stored_because_of_its_request_takes_nothing,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

async fn a_successful_post_takes_every_variant_along(stand: Stand) {
    let site = stand.counting(&[FRESH, ("vary", "accept-language")]);
    for _ in 0..2 {
        for language in ["en", "de"] {
            site.send("GET", "/a", &[("accept-language", language)])
                .await;
        }
        site.get("/b").await;
    }
    assert_eq!(site.hits(), 3);
    let post = site.send("POST", "/a", &[]).await;
    assert_eq!(post.cache_status(), "fwd=method; fwd-status=200");
    for language in ["en", "de"] {
        let reply = site
            .send("GET", "/a", &[("accept-language", language)])
            .await;
        assert!(!reply.is_hit(), "{language}");
    }
    assert!(site.get("/b").await.is_hit());
}

async fn a_failed_post_or_a_foreign_location_takes_nothing(stand: Stand) {
    let site = stand.site(|request: Request<String>| async move {
        Ok(match (request.method(), request.uri().path()) {
            (&Method::POST, "/a") => status(404, &[]),
            (&Method::POST, _) => status(201, &[("location", "http://other.example/a")]),
            _ => ok(&[FRESH], "body"),
        })
    });
    site.get("/a").await;
    site.send("POST", "/a", &[]).await;
    site.send("POST", "/b", &[]).await;
    assert!(site.get("/a").await.is_hit());
}

async fn location_of_the_same_origin_goes_too(stand: Stand) {
    let site = stand.site(|request: Request<String>| async move {
        Ok(match *request.method() {
            Method::POST => status(201, &[("location", "/a"), ("content-location", "c")]),
            _ => ok(&[FRESH], "body"),
        })
    });
    for path in ["/a", "/c", "/d"] {
        site.get(path).await;
    }
    site.send("POST", "/b", &[]).await;
    assert!(!site.get("/a").await.is_hit());
    assert!(!site.get("/c").await.is_hit());
    assert!(site.get("/d").await.is_hit());
}

async fn a_fill_overtaken_by_a_post_reaches_its_own_client_only(stand: Stand) {
    let (go, asked, count) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        AtomicUsize::new(0),
    );
    let (released, waited) = (go.clone(), asked.clone());
    let site = stand.site(move |request: Request<String>| {
        let (go, asked) = (released.clone(), waited.clone());
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if request.method() == Method::GET && number == 0 {
                asked.notify_one();
                go.notified().await;
                return Ok(ok(&[FRESH], "old"));
            }
            Ok(ok(&[FRESH], "new"))
        }
    });
    let early = tokio::spawn({
        let site = site.clone();
        async move { site.get("/").await }
    });
    asked.notified().await;
    site.send("POST", "/", &[]).await;
    go.notify_one();
    assert_eq!(early.await.unwrap().body, "old");
    for _ in 0..3 {
        assert_eq!(site.get("/").await.body, "new");
    }
}

async fn a_fill_overtaken_by_a_post_in_another_process_reaches_its_own_client_only(stand: Stand) {
    let (sender, streamed) = crate::harness::body::stream();
    let mut sender = sender;
    let streamed = std::sync::Mutex::new(Some(streamed));
    let site = stand.site(move |_| {
        let response = match streamed.lock().unwrap().take() {
            Some(body) => super::stand::with(&[FRESH, ("content-length", "3")], body),
            None => ok(&[FRESH], "new"),
        };
        async { Ok(response) }
    });
    let elsewhere = Origin::new(|_| async { Ok(ok(&[FRESH], "new")) });
    let elsewhere = Site::of(&stand.another(), elsewhere);
    let old = site.open(request("GET", "/", &[])).await.unwrap();
    elsewhere.send("POST", "/", &[]).await;
    let fresh = tokio::time::timeout(Duration::from_secs(5), site.get("/")).await;
    assert_eq!(
        fresh.expect("nobody waits for what is out of date").body,
        "new"
    );
    assert_eq!(elsewhere.get("/").await.body, "new");
    sender.send_data("old".into()).await.unwrap();
    drop(sender);
    assert_eq!(Reply::of(old).await.unwrap().body, "old");
    for _ in 0..3 {
        assert_eq!(site.get("/").await.body, "new");
        assert_eq!(elsewhere.get("/").await.body, "new");
    }
}

/// A site whose answers to GET change their `Cache-Control` from one to the next.
fn changing(stand: &Stand, second: &'static str) -> super::stand::Site {
    let count = AtomicUsize::new(0);
    stand.site(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let cache_control = if number == 1 { second } else { "max-age=60" };
        let lines = [("cache-control", cache_control), ("etag", "\"a\"")];
        let response = ok(&lines, number.to_string());
        async { Ok(response) }
    })
}

async fn an_answer_that_is_not_stored_takes_what_it_supersedes_along(stand: Stand) {
    let site = changing(&stand, "no-store");
    site.get("/").await;
    stand.advance(Duration::from_secs(61)).await;
    let second = site.get("/").await;
    assert_eq!(
        second.cache_status(),
        "fwd=stale; fwd-status=200; detail=no-store"
    );
    if stand.is_redis() {
        eventually(|| stand.server().keys("*:cache:*").is_empty()).await;
    } else {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        site.get("/")
            .await
            .cache_status()
            .starts_with("fwd=uri-miss")
    );
}

async fn an_answer_that_is_not_stored_because_of_its_request_takes_nothing(stand: Stand) {
    let site = changing(&stand, "max-age=60");
    site.get("/").await;
    let second = site
        .send("GET", "/", &[("cache-control", "no-cache, no-store")])
        .await;
    assert_eq!(second.body, "1");
    assert_eq!(site.get("/").await.body, "0");
}
