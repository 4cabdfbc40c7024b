//! Fills that stall: what they hide (nothing), how they end, and what they leave behind.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, eventually, ok, request, with},
};
use crate::harness::body::{self, BodySender};

on_all_stores!(
    what_is_fresh_is_served_while_a_reload_stalls,
    what_is_stale_is_served_while_its_refresh_stalls,
    a_body_that_is_idle_too_long_is_an_error_to_all_and_is_not_stored,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
/// On Redis the clock is the real one.
const IDLE: Duration = Duration::from_millis(300);

/// A site that answers "good" at first, then with the stream that the test sends, then "later".
fn stalling(stand: &Stand, lines: &'static [(&'static str, &'static str)]) -> (Site, BodySender) {
    let (sender, streamed) = body::stream();
    let (streamed, count) = (Mutex::new(Some(streamed)), AtomicUsize::new(0));
    let site = stand.site(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let response = match number {
            0 => ok(lines, "good"),
            1 => with(lines, streamed.lock().unwrap().take().unwrap()),
            _ => ok(lines, "later"),
        };
        async { Ok(response) }
    });
    (site, sender)
}

async fn at_once(site: &Site) -> Reply {
    let reply = tokio::time::timeout(Duration::from_secs(5), site.get("/"));
    reply.await.expect("it waits for nothing")
}

async fn what_is_fresh_is_served_while_a_reload_stalls(stand: Stand) {
    let (site, mut sender) = stalling(&stand, &[FRESH, ("content-length", "4")]);
    site.get("/").await;
    let reload = request("GET", "/", &[("cache-control", "no-cache")]);
    let response = site.open(reload).await.unwrap();
    sender.send_data("ha".into()).await.unwrap();
    drop(response);
    for _ in 0..3 {
        let reply = at_once(&site).await;
        assert!(reply.is_hit() && reply.body == "good", "{reply:?}");
    }
    // Once it has ended well, it is what is stored.
    sender.send_data("lf".into()).await.unwrap();
    drop(sender);
    for _ in 0..10_000 {
        if at_once(&site).await.body == "half" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the reload is never seen");
}

async fn what_is_stale_is_served_while_its_refresh_stalls(stand: Stand) {
    let lines = &[
        ("cache-control", "max-age=1, stale-while-revalidate=600"),
        ("content-length", "4"),
    ];
    let (site, mut sender) = stalling(&stand, lines);
    site.get("/").await;
    stand.advance(Duration::from_secs(3)).await;
    assert_eq!(at_once(&site).await.body, "good");
    eventually(|| site.hits() == 2).await;
    sender.send_data("ha".into()).await.unwrap();
    for _ in 0..3 {
        let reply = at_once(&site).await;
        assert!(reply.is_hit() && reply.body == "good", "{reply:?}");
    }
    assert_eq!(site.hits(), 2);
}

async fn a_body_that_is_idle_too_long_is_an_error_to_all_and_is_not_stored(stand: Stand) {
    let stand = stand.with(|layer| layer.with_body_idle(IDLE));
    let (sender, streamed) = body::stream();
    let (mut sender, streamed) = (sender, Mutex::new(Some(streamed)));
    let site = stand.site(move |_| {
        let response = match streamed.lock().unwrap().take() {
            Some(body) => with(&[FRESH], body),
            None => ok(&[FRESH], "later"),
        };
        async { Ok(response) }
    });
    let first = site.open(request("GET", "/", &[])).await.unwrap();
    let second = site.open(request("GET", "/", &[])).await.unwrap();
    sender.send_data("half".into()).await.unwrap();
    for response in [first, second] {
        let read = tokio::time::timeout(Duration::from_secs(20), Reply::of(response));
        let error = read.await.expect("it ends").unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
    // The upstream's body is let go.
    assert!(sender.send_data("more".into()).await.is_err());
    if stand.is_redis() {
        eventually(|| stand.server().keys("*:cache:*").is_empty()).await;
    }
    assert_eq!(site.get("/").await.body, "later");
}

/// A site whose first answer sends a byte every ten seconds.
fn trickling(stand: &Stand) -> (Site, Arc<AtomicUsize>) {
    let (sent, asked) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let count = sent.clone();
    let site = stand.site(move |_| {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        let response = if first {
            let (mut sender, streamed) = body::stream();
            let count = count.clone();
            tokio::spawn(async move {
                while sender.send_data("x".into()).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
            });
            with(&[FRESH], streamed)
        } else {
            ok(&[FRESH], "later")
        };
        async { Ok(response) }
    });
    (site, sent)
}

#[tokio::test]
async fn an_endless_body_without_clients_is_read_for_the_lease_at_most() {
    let stand = Stand::memory();
    let (site, sent) = trickling(&stand);
    drop(site.open(request("GET", "/", &[])).await.unwrap());
    tokio::time::sleep(Duration::from_secs(600)).await;
    let sent = sent.load(Ordering::Relaxed);
    assert!((6..=9).contains(&sent), "{sent}");
    assert_eq!(site.get("/").await.body, "later");
}

#[tokio::test]
async fn after_the_lease_a_body_goes_on_to_its_readers_but_is_no_longer_joined_nor_stored() {
    let stand = Stand::memory();
    let (site, sent) = trickling(&stand);
    let mut response = site.open(request("GET", "/", &[])).await.unwrap();
    for n in 0..12 {
        assert!(
            http_body_util::BodyExt::frame(response.body_mut())
                .await
                .is_some(),
            "{n}"
        );
    }
    let other = at_once(&site).await;
    assert_eq!(other.body, "later");
    let before = sent.load(Ordering::Relaxed);
    drop(response);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(sent.load(Ordering::Relaxed) <= before + 2);
}

/// An origin that hangs before its first head.
fn hanging(stand: &Stand) -> Site {
    let count = AtomicUsize::new(0);
    stand.site(move |_| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                tokio::time::sleep(Duration::from_secs(100)).await;
                return Ok(ok(&[FRESH], "late"));
            }
            Ok(ok(&[FRESH], "later"))
        }
    })
}

#[tokio::test]
async fn whoever_waits_for_an_origin_that_hangs_waits_for_the_lease_at_most() {
    let stand = Stand::memory();
    let site = hanging(&stand);
    let leader = tokio::spawn({
        let site = site.clone();
        async move { site.get("/").await }
    });
    eventually(|| site.hits() == 1).await;
    let start = tokio::time::Instant::now();
    assert_eq!(site.get("/").await.body, "later");
    assert!(
        start.elapsed() <= Duration::from_secs(61),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(site.hits(), 2);
    // Its own client may wait for longer; what it gets is not stored.
    let late = leader.await.unwrap();
    assert_eq!(late.body, "late");
    assert!(!late.cache_status().contains("stored"), "{late:?}");
    assert_eq!(site.get("/").await.body, "later");
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn ten_thousand_clients_that_leave_a_hanging_fill_leave_nothing() {
    let stand = Stand::memory();
    let site = stand.site(|_| std::future::pending());
    let leader = tokio::spawn({
        let site = site.clone();
        async move { site.get("/").await }
    });
    eventually(|| site.hits() == 1).await;
    let mut before = 0;
    for round in 0..=20 {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let site = site.clone();
            clients.spawn(async move { site.get("/").await });
        }
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        clients.shutdown().await;
        if round == 0 {
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    assert_eq!(site.hits(), 1);
    // They were 3.4 kB each. Other tests run in this process too.
    assert!(grown < 10_000 * 1_000, "{grown} bytes");
    leader.abort();
}
