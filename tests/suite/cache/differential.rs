//! Embedded memory and Redis, driven by the same random requests, answer the same.

use std::time::{Duration, SystemTime};

use http::{Method, Request};
use proptest::prelude::*;
use tokio::{sync::watch, task::JoinHandle};
use tower_keep::{Store, cache::CacheLayer};

use super::stand::{Origin, Reply, Site, ok, request, status};
use crate::harness::differential::memory_and_redis_agree;

/// A request; what the origin makes of it is in fields of its own.
#[derive(Debug, Clone)]
struct Visit {
    method: &'static str,
    path: &'static str,
    /// The value of the field that responses vary by.
    x: &'static str,
    client: &'static str,
    range: bool,
    cache_control: &'static str,
    vary: &'static str,
    status: &'static str,
    /// How many seconds ago the origin says it made the response.
    age: u64,
    /// Sent by another process, whose origin holds the answer back until the next such request or
    /// the end: what is stored meanwhile is newer.
    held: bool,
}

fn visit() -> impl Strategy<Value = Visit> {
    let pick = |values: &'static [&'static str]| prop::sample::select(values);
    (
        pick(&["GET", "GET", "GET", "GET", "HEAD", "POST"]),
        pick(&["/a", "/b"]),
        pick(&["1", "2", "3"]),
        pick(&["", "", "", "no-cache", "only-if-cached", "no-store"]),
        prop::bool::weighted(0.1),
        pick(&[
            "max-age=600",
            "max-age=600",
            "no-store",
            "no-cache",
            "private",
        ]),
        pick(&["", "x", "x, y", "*"]),
        pick(&["200", "200", "200", "404", "503", "302"]),
        prop::sample::select(vec![0, 0, 60, 120]),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(method, path, x, client, range, cache_control, vary, status, age, held)| Visit {
                method,
                path,
                x,
                client,
                range,
                cache_control,
                vary,
                status,
                age,
                held,
            },
        )
}

/// An origin that holds back answers with a number above the one that `released` has.
fn origin(started: SystemTime, released: watch::Receiver<usize>) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::new(move |request: Request<String>| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let said = |name| request.headers()[name].to_str().unwrap();
        let mut lines = vec![("cache-control", said("origin-cache-control"))];
        if !said("origin-vary").is_empty() {
            lines.push(("vary", said("origin-vary")));
        }
        let tag = format!("\"{}\"", number % 2);
        lines.push(("etag", &tag));
        let age = Duration::from_secs(said("origin-age").parse().unwrap());
        let date = httpdate::fmt_http_date(started - age);
        lines.push(("date", &date));
        let unchanged = request
            .headers()
            .get("if-none-match")
            .is_some_and(|known| *known == *tag);
        let response = match said("origin-status") {
            "200" if unchanged && request.method() == Method::GET => status(304, &lines),
            "200" if request.method() == Method::GET => ok(&lines, format!("body {number}")),
            code => status(code.parse().unwrap(), &lines),
        };
        let (mut released, held) = (released.clone(), said("held").parse::<usize>().unwrap());
        async move {
            released
                .wait_for(|&released| released >= held)
                .await
                .unwrap();
            Ok(response)
        }
    })
}

fn line(reply: &Reply) -> String {
    // Ages and lifetimes are the clock's.
    let status = reply.cache_status().split("ttl=").next().unwrap();
    let etag = reply.field("etag");
    format!("{} {:?} {etag:?} {status}", reply.status, reply.body)
}

/// All that the clients see.
async fn transcript(store: Store, visits: &[Visit]) -> Vec<String> {
    let started = SystemTime::now();
    let (release, released) = watch::channel(0);
    let site = |released| Site::of(&CacheLayer::new(store.clone()), origin(started, released));
    let (site, slow) = (site(released.clone()), site(released));
    let (mut lines, mut held) = (Vec::new(), None::<JoinHandle<Reply>>);
    for (at, visit) in visits.iter().enumerate() {
        let age = visit.age.to_string();
        let mut fields = vec![
            ("x", visit.x),
            ("origin-cache-control", visit.cache_control),
            ("origin-vary", visit.vary),
            ("origin-status", visit.status),
            ("origin-age", &*age),
        ];
        let number = if visit.held { at + 1 } else { 0 }.to_string();
        fields.push(("held", &number));
        if !visit.client.is_empty() {
            fields.push(("cache-control", visit.client));
        }
        if visit.range {
            fields.push(("range", "bytes=0-2"));
        }
        if visit.held {
            if let Some(held) = held.take() {
                release.send(at).unwrap();
                lines.push(line(&held.await.unwrap()));
                quiesce(&store).await;
            }
            let request = request(visit.method, visit.path, &fields);
            let slow = slow.clone();
            held = Some(tokio::spawn(async move {
                Reply::of(slow.open(request).await.unwrap()).await.unwrap()
            }));
        } else {
            lines.push(line(&site.send(visit.method, visit.path, &fields).await));
        }
        quiesce(&store).await;
    }
    if let Some(held) = held {
        release.send(visits.len()).unwrap();
        lines.push(line(&held.await.unwrap()));
        quiesce(&store).await;
    }
    for path in ["/a", "/b"] {
        for x in ["1", "2", "3"] {
            let fields = [("x", x), ("cache-control", "only-if-cached")];
            lines.push(line(&site.send("GET", path, &fields).await));
        }
    }
    lines
}

/// Lets what happens off the responses' path be done: calls to the store are made in turn.
async fn quiesce(store: &Store) {
    for _ in 0..6 {
        tokio::task::yield_now().await;
        store.ping().await.unwrap();
    }
}

#[test]
fn memory_and_redis_answer_the_same_to_random_requests() {
    let visits = prop::collection::vec(visit(), 1..16);
    memory_and_redis_agree(150, visits, async |store, redis, visits| {
        let lines = transcript(store, visits).await;
        redis.inspect(|redis| redis.assert_every_key_has_a_ttl());
        lines
    });
}
