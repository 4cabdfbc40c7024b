//! Requests for the same that come together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::poll_once;
use http::Request;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, eventually, ok, request},
};
use crate::harness::body;

on_all_stores!(
    a_hundred_misses_are_one_request,
    the_first_client_may_leave,
    what_is_not_stored_releases_all_at_once,
    what_was_not_stored_is_not_waited_for_again,
    a_panic_reaches_its_client_and_hangs_nobody,
    a_head_and_a_range_share_the_fill_under_way,
    a_stored_response_is_served_while_another_client_insists_on_a_new_one,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A site that answers when it is let.
fn gated(stand: &Stand, lines: &'static [(&'static str, &'static str)]) -> (Site, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (entry, count) = (gate.clone(), AtomicUsize::new(0));
    let site = stand.site(move |_| {
        let (entry, number) = (entry.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            entry.acquire().await.unwrap().forget();
            Ok(ok(lines, format!("body {number}")))
        }
    });
    (site, gate)
}

/// Many clients at once.
fn crowd(site: &Site, clients: usize, lines: &'static [(&str, &str)]) -> JoinSet<Reply> {
    let mut crowd = JoinSet::new();
    for _ in 0..clients {
        let site = site.clone();
        crowd.spawn(async move { site.send("GET", "/", lines).await });
    }
    crowd
}

/// Time enough for requests to get where they wait.
async fn settle(stand: &Stand) {
    if stand.is_redis() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

async fn a_hundred_misses_are_one_request(stand: Stand) {
    let (site, gate) = gated(&stand, &[FRESH]);
    let clients = crowd(&site, 100, &[]);
    settle(&stand).await;
    gate.add_permits(100);
    let replies = clients.join_all().await;
    assert!(replies.iter().all(|reply| reply.body == "body 0"));
    let collapsed = |reply: &&Reply| reply.cache_status() == "fwd=uri-miss; collapsed";
    assert_eq!(replies.iter().filter(collapsed).count(), 99);
    assert_eq!(site.hits(), 1);
}

async fn the_first_client_may_leave(stand: Stand) {
    let (site, gate) = gated(&stand, &[FRESH]);
    let leader = tokio::spawn({
        let site = site.clone();
        async move { site.get("/").await }
    });
    eventually(|| site.hits() == 1).await;
    let clients = crowd(&site, 10, &[]);
    settle(&stand).await;
    leader.abort();
    settle(&stand).await;
    gate.add_permits(1);
    let replies = clients.join_all().await;
    assert!(replies.iter().all(|reply| reply.body == "body 0"));
    assert!(site.get("/").await.is_hit());
    assert_eq!(site.hits(), 1);
}

async fn what_is_not_stored_releases_all_at_once(stand: Stand) {
    let (site, gate) = gated(&stand, &[("cache-control", "no-store")]);
    let clients = crowd(&site, 20, &[]);
    settle(&stand).await;
    assert_eq!(site.hits(), 1);
    gate.add_permits(1);
    // All the others are at the origin together: none waits for another.
    eventually(|| site.hits() == 20).await;
    gate.add_permits(19);
    let mut bodies: Vec<_> = clients
        .join_all()
        .await
        .into_iter()
        .map(|r| r.body)
        .collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 20, "nobody got another one's response");
}

async fn what_was_not_stored_is_not_waited_for_again(stand: Stand) {
    let (site, gate) = gated(&stand, &[("cache-control", "no-store")]);
    gate.add_permits(1);
    site.get("/").await;
    let clients = crowd(&site, 20, &[]);
    eventually(|| site.hits() == 21).await;
    gate.add_permits(20);
    clients.join_all().await;
}

async fn a_panic_reaches_its_client_and_hangs_nobody(stand: Stand) {
    let (gate, count) = (Arc::new(Semaphore::new(0)), AtomicUsize::new(0));
    let entry = gate.clone();
    let site = stand.site(move |_| {
        let (entry, number) = (entry.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            entry.acquire().await.unwrap().forget();
            assert_ne!(number, 0, "the handler's own panic");
            Ok(ok(&[FRESH], "body"))
        }
    });
    let first = tokio::spawn({
        let site = site.clone();
        async move { site.get("/").await }
    });
    eventually(|| site.hits() == 1).await;
    let others = crowd(&site, 5, &[]);
    settle(&stand).await;
    gate.add_permits(100);
    let panic = first.await.unwrap_err().into_panic();
    assert!(
        panic
            .downcast_ref::<String>()
            .unwrap()
            .contains("own panic")
    );
    let replies = others.join_all().await;
    assert!(replies.iter().all(|reply| reply.body == "body"));
}

async fn a_head_and_a_range_share_the_fill_under_way(stand: Stand) {
    let (sender, streamed) = body::stream();
    let streamed = std::sync::Mutex::new(Some(streamed));
    let site = stand.site(move |_: Request<String>| {
        let body = streamed.lock().unwrap().take().expect("one request");
        let response = super::stand::with(&[FRESH, ("content-length", "10")], body);
        async { Ok(response) }
    });
    let first = site.open(request("GET", "/", &[])).await.unwrap();
    let head = site.send("HEAD", "/", &[]).await;
    assert_eq!(head.field("content-length"), ["10"]);
    assert_eq!(head.cache_status(), "fwd=uri-miss; collapsed");
    let range = tokio::spawn({
        let site = site.clone();
        async move { site.send("GET", "/", &[("range", "bytes=0-1")]).await }
    });
    settle(&stand).await;
    let mut sender = sender;
    sender.send_data("0123456789".into()).await.unwrap();
    drop(sender);
    let range = range.await.unwrap();
    assert_eq!((range.status, &*range.body), (206, "01"));
    assert_eq!(Reply::of(first).await.unwrap().body, "0123456789");
    assert_eq!(site.hits(), 1);
}

async fn a_stored_response_is_served_while_another_client_insists_on_a_new_one(stand: Stand) {
    let (site, gate) = gated(&stand, &[FRESH]);
    gate.add_permits(1);
    site.get("/").await;
    let insisting = crowd(&site, 1, &[("cache-control", "no-cache")]);
    eventually(|| site.hits() == 1).await;
    settle(&stand).await;
    let reply = site.get("/").await;
    assert!(reply.is_hit() && reply.body == "body 0");
    gate.add_permits(1);
    assert_eq!(insisting.join_all().await[0].body, "body 1");
    assert_eq!(site.get("/").await.body, "body 1");
}

#[tokio::test]
async fn a_request_that_is_cancelled_leaves_no_key() {
    let stand = Stand::redis().await;
    let (site, _gate) = gated(&stand, &[FRESH]);
    // Not shared, so that nobody else keeps it going.
    let lines = [("authorization", "x")];
    let mut cancelled = Box::pin(site.send("GET", "/", &lines));
    while site.hits() == 0 {
        assert!(poll_once(&mut cancelled).await.is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    eventually(|| stand.server().keys("*:cache:*").len() == 1).await;
    drop(cancelled);
    eventually(|| stand.server().keys("*:cache:*").is_empty()).await;
}

mod futures {
    use std::{future::poll_fn, pin::Pin, task::Poll};

    /// The output, if it is there by now.
    pub(super) async fn poll_once<F: Future>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
        poll_fn(|cx| {
            Poll::Ready(match future.as_mut().poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }
}
