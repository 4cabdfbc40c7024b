//! An invalidation is not lost: not to a store that is down, not to a server that comes back
//! with old data, not to a client that leaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Request};
use tokio::sync::Notify;

use super::{
    on_all_stores,
    stand::{Answer, Origin, Site, Stand, eventually, ok, request, status},
};
use crate::harness::connected::PATIENT;

on_all_stores!(
    the_client_of_a_post_that_leaves_does_not_take_the_invalidation_along,
    what_a_post_without_a_client_answers_decides,
    a_page_that_is_fetched_while_a_post_without_a_client_runs_is_gone_after_it,
    a_post_that_never_began_invalidates_nothing,
    a_post_that_gets_no_answer_takes_its_own_page_along,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=600");
const DEADLINE: Duration = Duration::from_millis(150);

/// A page that POST changes, with GET answering its version.
fn page(version: &Arc<AtomicUsize>) -> Origin {
    let version = version.clone();
    Origin::new(move |request: Request<String>| {
        let version = match *request.method() {
            Method::GET => version.load(Ordering::SeqCst),
            _ => version.fetch_add(1, Ordering::SeqCst) + 1,
        };
        async move { Ok(ok(&[FRESH], version.to_string())) }
    })
}

async fn ready_again(stand: &Stand) {
    let start = Instant::now();
    while stand.store.ping().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "never connected");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A page of two processes on one Redis, stored in its first version.
struct Pages {
    stand: Stand,
    one: Site,
    other: Site,
}

impl Pages {
    async fn stored() -> Self {
        let stand = Stand::redis_within(DEADLINE).await;
        let version = Arc::<AtomicUsize>::default();
        let one = Site::of(&stand.layer, page(&version));
        let other = Site::of(&stand.another(), page(&version));
        one.get("/").await;
        eventually(|| {
            let stored = |key: &String| stand.server().query::<bool>(&["HEXISTS", key, "i"]);
            stand.server().keys("*:cache:*").iter().any(stored)
        })
        .await;
        assert!(other.get("/").await.is_hit());
        Self { stand, one, other }
    }

    /// For a second, the process that has seen the POST never answers with the old page; and in
    /// the end no process does.
    async fn assert_gone(&self) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            let reply = self.one.get("/").await;
            assert_eq!(reply.body, "1", "{}", reply.cache_status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while !self.one.get("/").await.is_hit() {
            assert!(start.elapsed() < PATIENT, "it is not stored any more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.other.get("/").await.body, "1");
    }
}

#[tokio::test]
async fn a_post_while_the_store_is_frozen_takes_the_page_along() {
    let pages = Pages::stored().await;
    pages.stand.server().pause();
    assert_eq!(pages.one.send("POST", "/", &[]).await.status, 200);
    // At once, too: the store does not answer, and its old page is not waited for.
    assert_eq!(pages.one.get("/").await.body, "1");
    tokio::time::sleep(Duration::from_millis(400)).await;
    pages.stand.server().resume();
    pages.assert_gone().await;
}

#[tokio::test]
async fn a_post_while_the_breaker_is_open_takes_the_page_along() {
    let pages = Pages::stored().await;
    pages.stand.server().pause();
    pages.one.get("/elsewhere").await;
    assert_eq!(pages.one.send("POST", "/", &[]).await.status, 200);
    tokio::time::sleep(Duration::from_millis(400)).await;
    pages.stand.server().resume();
    pages.assert_gone().await;
}

#[tokio::test]
async fn a_store_that_refuses_the_invalidation_is_asked_again() {
    let pages = Pages::stored().await;
    let server = pages.stand.server();
    server.command(&["ACL", "SETUSER", "default", "-unlink"]);
    assert_eq!(pages.one.send("POST", "/", &[]).await.status, 200);
    for _ in 0..10 {
        let reply = pages.one.get("/").await;
        assert_eq!(
            (&*reply.body, reply.cache_status()),
            ("1", "fwd=miss; fwd-status=200; detail=invalidation-pending")
        );
    }
    server.command(&["ACL", "SETUSER", "default", "+unlink"]);
    pages.assert_gone().await;
}

#[tokio::test]
async fn an_answer_that_is_not_stored_takes_what_it_supersedes_along_when_the_store_refuses() {
    let stand = Stand::redis_within(DEADLINE).await;
    let count = AtomicUsize::new(0);
    let site = stand.site(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let directive = if number == 1 {
            "no-store"
        } else {
            "max-age=600"
        };
        let response = ok(&[("cache-control", directive)], number.to_string());
        async { Ok(response) }
    });
    site.get("/").await;
    let key = || stand.server().keys("*:cache:*").pop();
    eventually(|| key().is_some_and(|key| stand.server().query::<bool>(&["HEXISTS", &key, "i"])))
        .await;
    stand
        .server()
        .command(&["ACL", "SETUSER", "default", "-unlink"]);
    let second = site
        .send("GET", "/", &[("cache-control", "no-cache")])
        .await;
    assert_eq!(second.body, "1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(site.get("/").await.body, "2");
    stand
        .server()
        .command(&["ACL", "SETUSER", "default", "+unlink"]);
    eventually(|| key().is_none()).await;
}

/// A server that is killed after the POST and comes back with what it had saved before it.
async fn restored() -> Pages {
    let mut pages = Pages::stored().await;
    pages.stand.server().command(&["SAVE"]);
    assert_eq!(pages.one.send("POST", "/", &[]).await.status, 200);
    assert!(pages.stand.server().keys("*:cache:*").is_empty());
    pages.stand.server_mut().restart();
    // Not by its keys: the process that saw the POST may have taken the page out again by now.
    let persistence = pages
        .stand
        .server()
        .query::<String>(&["INFO", "persistence"]);
    let loaded = "rdb_last_load_keys_loaded:2\r\n";
    assert!(persistence.contains(loaded), "{persistence}");
    pages
}

#[tokio::test]
async fn a_server_restored_from_an_old_snapshot_revives_no_page() {
    let pages = restored().await;
    pages.assert_gone().await;
}

#[tokio::test]
async fn a_server_restored_from_an_old_snapshot_revives_no_page_after_a_pause() {
    let pages = restored().await;
    ready_again(&pages.stand).await;
    pages.assert_gone().await;
}

#[tokio::test]
async fn a_process_without_requests_takes_its_page_out_of_a_restored_server_too() {
    let pages = restored().await;
    eventually(|| pages.stand.server().keys("*:cache:*").is_empty()).await;
    assert_eq!(pages.other.get("/").await.body, "1");
}

/// A site whose POST waits before it changes the page and is answered with this status.
struct Slow {
    site: Site,
    begun: Arc<Notify>,
    go: Arc<Notify>,
    ended: Arc<AtomicBool>,
}

impl Slow {
    fn site(stand: &Stand, answer: u16) -> Self {
        let (begun, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let ended = Arc::<AtomicBool>::default();
        let version = Arc::<AtomicUsize>::default();
        let (said, waited, done) = (begun.clone(), go.clone(), ended.clone());
        let site = stand.site(move |request: Request<String>| {
            let (begun, go, ended) = (said.clone(), waited.clone(), done.clone());
            let version = version.clone();
            async move {
                if request.method() == Method::POST {
                    begun.notify_one();
                    go.notified().await;
                    version.fetch_add(1, Ordering::SeqCst);
                    ended.store(true, Ordering::SeqCst);
                    return Ok(status(answer, &[("location", "/listed")])) as Answer;
                }
                Ok(ok(&[FRESH], version.load(Ordering::SeqCst).to_string()))
            }
        });
        Self {
            site,
            begun,
            go,
            ended,
        }
    }

    /// Sends a POST whose client leaves before the answer.
    async fn leave(&self) {
        let post = tokio::spawn({
            let site = self.site.clone();
            async move { site.open(request("POST", "/", &[])).await }
        });
        self.begun.notified().await;
        post.abort();
        assert!(post.await.unwrap_err().is_cancelled());
    }

    async fn end(&self) {
        self.go.notify_one();
        eventually(|| self.ended.load(Ordering::SeqCst)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn the_client_of_a_post_that_leaves_does_not_take_the_invalidation_along(stand: Stand) {
    let slow = Slow::site(&stand, 201);
    slow.site.get("/").await;
    slow.site.get("/listed").await;
    slow.leave().await;
    slow.end().await;
    assert_eq!(slow.site.get("/").await.body, "1");
    assert_eq!(slow.site.get("/listed").await.body, "1");
}

async fn what_a_post_without_a_client_answers_decides(stand: Stand) {
    let slow = Slow::site(&stand, 405);
    slow.site.get("/").await;
    slow.leave().await;
    slow.end().await;
    assert!(slow.site.get("/").await.is_hit());
}

async fn a_page_that_is_fetched_while_a_post_without_a_client_runs_is_gone_after_it(stand: Stand) {
    let slow = Slow::site(&stand, 200);
    slow.site.get("/").await;
    slow.leave().await;
    assert_eq!(slow.site.get("/").await.body, "0");
    slow.end().await;
    assert_eq!(slow.site.get("/").await.body, "1");
}

async fn a_post_that_never_began_invalidates_nothing(stand: Stand) {
    let slow = Slow::site(&stand, 200);
    slow.site.get("/").await;
    drop(slow.site.open(request("POST", "/", &[])));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(slow.site.get("/").await.is_hit());
}

async fn a_post_that_gets_no_answer_takes_its_own_page_along(stand: Stand) {
    let version = Arc::<AtomicUsize>::default();
    let site = stand.site(move |request: Request<String>| {
        let number = version.load(Ordering::SeqCst);
        let answer = match (request.method(), request.uri().path()) {
            (&Method::POST, _) => {
                // It is done, and then the connection is lost.
                version.fetch_add(1, Ordering::SeqCst);
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
            _ => Ok(ok(&[FRESH], number.to_string())),
        };
        async { answer }
    });
    for path in ["/", "/other"] {
        site.get(path).await;
        assert!(site.get(path).await.is_hit());
    }
    site.open(request("POST", "/", &[])).await.unwrap_err();
    assert_eq!(site.get("/").await.body, "1");
    assert!(site.get("/other").await.is_hit());
}
