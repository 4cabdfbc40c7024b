//! A head goes only with its own body, and nothing older replaces what is newer: also where two
//! processes, or two requests of one, ask the origin at the same time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    on_all_stores,
    stand::{Answer, Origin, Reply, Site, Stand, eventually, ok, request, status, with},
};
use crate::harness::body::{self, Body};

on_all_stores!(
    a_late_304_leaves_alone_what_another_process_has_stored_meanwhile,
    a_late_304_leaves_alone_what_an_authorized_request_has_stored_meanwhile,
    a_late_answer_to_head_leaves_alone_what_was_stored_meanwhile,
    a_late_completion_leaves_alone_what_was_stored_meanwhile,
    a_slower_response_with_an_older_date_does_not_replace_a_newer_one,
    of_two_responses_of_one_second_the_one_that_came_later_stays,
    what_is_stale_blocks_no_successor_whatever_its_date,
    a_304_freshens_what_is_stored_for_all_processes,
);

const SHORT: (&str, &str) = ("cache-control", "public, max-age=1, stale-if-error=0");
const FRESH: (&str, &str) = ("cache-control", "public, max-age=600");
const OLD: &str = "old";
const NEW: &str = "a newer and longer body";

/// An origin of which one answer can be held back.
#[derive(Default)]
struct Gate {
    asked: Notify,
    go: Notify,
}

impl Gate {
    /// A site whose first answer is `first`; the second is held back and then `held`.
    fn site(
        self: &Arc<Self>,
        layer: &tower_keep::cache::CacheLayer,
        first: fn() -> Response<Body>,
        held: fn() -> Response<Body>,
    ) -> Site {
        let (gate, count) = (self.clone(), AtomicUsize::new(0));
        let origin = Origin::new(move |_| {
            let (gate, number) = (gate.clone(), count.fetch_add(1, Ordering::Relaxed));
            async move {
                if number == 0 {
                    return Ok(first());
                }
                if number == 1 {
                    gate.asked.notify_one();
                    gate.go.notified().await;
                }
                Ok(held())
            }
        });
        Site::of(layer, origin)
    }

    /// Sends the request whose answer is held back.
    async fn ask(&self, site: &Site, method: &'static str) -> JoinHandle<Reply> {
        let site = site.clone();
        let asked = tokio::spawn(async move { site.send(method, "/", &[]).await });
        self.asked.notified().await;
        asked
    }

    async fn release(&self, held: JoinHandle<Reply>) -> Reply {
        self.go.notify_one();
        let reply = held.await.unwrap();
        settle().await;
        reply
    }
}

/// Lets what happens off the responses' path be done.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn lengthy(lines: &[(&str, &str)], content: &'static str) -> Response<Body> {
    let length = content.len().to_string();
    let lines = [lines, &[("content-length", length.as_str())]].concat();
    ok(&lines, content)
}

fn old() -> Response<Body> {
    lengthy(&[SHORT, ("etag", "\"old\"")], OLD)
}

fn new() -> Response<Body> {
    lengthy(&[FRESH, ("etag", "\"new\"")], NEW)
}

fn unchanged() -> Response<Body> {
    status(304, &[FRESH, ("etag", "\"old\"")])
}

async fn answer_new(_: Request<String>) -> Answer {
    Ok(new())
}

/// A site of another process whose origin has the new response.
fn elsewhere(stand: &Stand) -> Site {
    Site::of(&stand.another(), Origin::new(answer_new))
}

/// What every process answers has the new body under the new head.
async fn assert_new(sites: [&Site; 2]) {
    for site in sites {
        for _ in 0..2 {
            let reply = site.get("/").await;
            assert!(reply.is_hit(), "{}", reply.cache_status());
            assert_eq!(reply.body, NEW);
            assert_eq!(reply.field("etag"), ["\"new\""]);
            assert_eq!(reply.field("content-length"), [NEW.len().to_string()]);
        }
    }
}

async fn a_late_304_leaves_alone_what_another_process_has_stored_meanwhile(stand: Stand) {
    let gate = Arc::<Gate>::default();
    let site = gate.site(&stand.layer, old, unchanged);
    let elsewhere = elsewhere(&stand);
    site.get("/").await;
    stand.advance(Duration::from_secs(2)).await;
    let validating = gate.ask(&site, "GET").await;
    assert_eq!(elsewhere.get("/").await.body, NEW);
    settle().await;
    // The client that waited for it gets one response, not the halves of two.
    let late = gate.release(validating).await;
    assert_eq!(late.body, OLD);
    assert_eq!(late.field("content-length"), [OLD.len().to_string()]);
    assert_new([&site, &elsewhere]).await;
}

async fn a_late_304_leaves_alone_what_an_authorized_request_has_stored_meanwhile(stand: Stand) {
    let (gate, count) = (Arc::<Gate>::default(), AtomicUsize::new(0));
    let held = gate.clone();
    let site = stand.site(move |request: Request<String>| {
        let (gate, number) = (held.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            if number == 0 {
                return Ok(old());
            }
            // Nobody joins this one: the answer to it need not be one for all.
            if request.headers().contains_key("authorization") {
                gate.asked.notify_one();
                gate.go.notified().await;
                return Ok(unchanged());
            }
            Ok(new())
        }
    });
    site.get("/").await;
    stand.advance(Duration::from_secs(2)).await;
    let validating = tokio::spawn({
        let site = site.clone();
        async move { site.send("GET", "/", &[("authorization", "x")]).await }
    });
    gate.asked.notified().await;
    assert_eq!(site.get("/").await.body, NEW);
    settle().await;
    let late = gate.release(validating).await;
    assert_eq!(late.body, OLD);
    assert_eq!(late.field("content-length"), [OLD.len().to_string()]);
    assert_new([&site, &elsewhere(&stand)]).await;
}

async fn a_late_answer_to_head_leaves_alone_what_was_stored_meanwhile(stand: Stand) {
    let gate = Arc::<Gate>::default();
    let site = gate.site(&stand.layer, old, || {
        status(200, &[FRESH, ("etag", "\"old\""), ("content-length", "3")])
    });
    let elsewhere = elsewhere(&stand);
    site.get("/").await;
    stand.advance(Duration::from_secs(2)).await;
    let head = gate.ask(&site, "HEAD").await;
    assert_eq!(elsewhere.get("/").await.body, NEW);
    settle().await;
    gate.release(head).await;
    assert_new([&site, &elsewhere]).await;
}

async fn a_late_completion_leaves_alone_what_was_stored_meanwhile(stand: Stand) {
    fn part(range: &'static str, content: &'static str) -> Response<Body> {
        let mut response = lengthy(
            &[FRESH, ("etag", "\"old\""), ("content-range", range)],
            content,
        );
        *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
        response
    }
    let gate = Arc::<Gate>::default();
    let site = gate.site(
        &stand.layer,
        || part("bytes 0-3/10", "0123"),
        || part("bytes 4-9/10", "456789"),
    );
    let elsewhere = elsewhere(&stand);
    site.send("GET", "/", &[("range", "bytes=0-3")]).await;
    settle().await;
    let completing = gate.ask(&site, "GET").await;
    let reply = elsewhere
        .send("GET", "/", &[("cache-control", "no-cache")])
        .await;
    assert_eq!(reply.body, NEW);
    settle().await;
    assert_eq!(gate.release(completing).await.body, "0123456789");
    assert_new([&site, &elsewhere]).await;
}

fn date(seconds_ago: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(seconds_ago))
}

fn dated(seconds_ago: u64, content: &'static str) -> Response<Body> {
    lengthy(&[FRESH, ("date", &date(seconds_ago))], content)
}

async fn a_slower_response_with_an_older_date_does_not_replace_a_newer_one(stand: Stand) {
    let gate = Arc::new(Gate::default());
    let (held, count) = (gate.clone(), AtomicUsize::new(0));
    let site = stand.site(move |_| {
        let (gate, number) = (held.clone(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            if number == 0 {
                gate.asked.notify_one();
                gate.go.notified().await;
            }
            Ok(dated(60, OLD))
        }
    });
    let elsewhere = Site::of(
        &stand.another(),
        Origin::new(|_| async { Ok(dated(5, NEW)) }),
    );
    let slow = gate.ask(&site, "GET").await;
    assert_eq!(elsewhere.get("/").await.body, NEW);
    settle().await;
    assert_eq!(gate.release(slow).await.body, OLD);
    for site in [&site, &elsewhere] {
        let reply = site.get("/").await;
        assert!(reply.is_hit());
        assert_eq!(reply.body, NEW);
    }
}

async fn of_two_responses_of_one_second_the_one_that_came_later_stays(stand: Stand) {
    let (mut sender, slow) = body::stream();
    let date = date(5);
    let (slow, first_date) = (Mutex::new(Some(slow)), date.clone());
    let site = stand.site(move |_| {
        let body = slow.lock().unwrap().take().unwrap_or_else(body::empty);
        let response = with(
            &[FRESH, ("date", &first_date), ("content-length", "3")],
            body,
        );
        async { Ok(response) }
    });
    let elsewhere = Site::of(
        &stand.another(),
        Origin::new(move |_| {
            let response = lengthy(&[FRESH, ("date", &date)], NEW);
            async { Ok(response) }
        }),
    );
    let first = site.open(request("GET", "/", &[])).await.unwrap();
    settle().await;
    assert_eq!(elsewhere.get("/").await.body, NEW);
    settle().await;
    sender.send_data(OLD.into()).await.unwrap();
    drop(sender);
    assert_eq!(Reply::of(first).await.unwrap().body, OLD);
    settle().await;
    for site in [&site, &elsewhere] {
        let reply = site.get("/").await;
        assert!(reply.is_hit());
        assert_eq!(reply.body, NEW);
    }
}

async fn what_is_stale_blocks_no_successor_whatever_its_date(stand: Stand) {
    let count = AtomicUsize::new(0);
    let site = stand.site(move |_| {
        let response = match count.fetch_add(1, Ordering::Relaxed) {
            0 => old(),
            // The origin's clock was set back.
            _ => dated(60, NEW),
        };
        async { Ok(response) }
    });
    site.get("/").await;
    stand.advance(Duration::from_secs(2)).await;
    assert_eq!(site.get("/").await.body, NEW);
    settle().await;
    for site in [&site, &elsewhere(&stand)] {
        let reply = site.get("/").await;
        assert!(reply.is_hit(), "{}", reply.cache_status());
        assert_eq!(reply.body, NEW);
    }
}

async fn a_304_freshens_what_is_stored_for_all_processes(stand: Stand) {
    let gate = Arc::<Gate>::default();
    let site = gate.site(&stand.layer, old, unchanged);
    let elsewhere = elsewhere(&stand);
    site.get("/").await;
    stand.advance(Duration::from_secs(2)).await;
    let validating = gate.ask(&site, "GET").await;
    assert_eq!(gate.release(validating).await.body, OLD);
    if stand.is_redis() {
        eventually(|| stand.server().keys("*:cache:*").len() == 1).await;
    }
    for site in [&site, &elsewhere] {
        let reply = site.get("/").await;
        assert!(reply.is_hit(), "{}", reply.cache_status());
        assert_eq!(reply.body, OLD);
        assert_eq!(reply.field("cache-control"), [FRESH.1]);
    }
}
