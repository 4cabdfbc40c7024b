//! Clients in great numbers, those that leave at once and those that do not read: what they take.

use std::{
    future::pending,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::Notify;
use tokio_stream::StreamExt;
use tower_keep::{Store, cache::CacheLayer, store::MemoryLimits};

use super::{
    on_all_stores,
    stand::{Answer, Origin, Reply, Site, Stand, eventually, ok, request, with},
};

on_all_stores!(
    clients_that_leave_at_once_leave_few_calls_behind,
    a_client_that_waits_keeps_a_call_however_many_go_on_without_one,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
/// Calls of the inner service that may go on although their clients have left.
const UNATTENDED: usize = 256;

/// Counts those of a kind that are there.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }
}

struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A site whose origin does not answer, but for `/gate` once that is open; and its calls.
fn hanging(stand: &Stand) -> (Site, Arc<Notify>, Count) {
    let (gate, calls) = (Arc::<Notify>::default(), Count::default());
    let (opened, count) = (gate.clone(), calls.clone());
    let site = stand.site(move |request: Request<String>| {
        let (gate, call) = (opened.clone(), count.one());
        async move {
            if request.uri().path() == "/gate" {
                gate.notified().await;
                return Ok(ok(&[FRESH], "page")) as Answer;
            }
            pending::<()>().await;
            drop(call);
            unreachable!()
        }
    });
    (site, gate, calls)
}

/// So many clients, each for a page of its own, that leave once the origin was asked.
async fn leave(site: &Site, clients: usize) {
    let before = site.hits();
    let clients: Vec<_> = (0..clients)
        .map(|n| {
            let site = site.clone();
            let path = format!("/{n}");
            tokio::spawn(async move { site.open(request("GET", &path, &[])).await })
        })
        .collect();
    eventually(|| site.hits() - before == clients.len()).await;
    for client in clients {
        client.abort();
    }
}

async fn clients_that_leave_at_once_leave_few_calls_behind(stand: Stand) {
    let (site, _, calls) = hanging(&stand);
    leave(&site, 1000).await;
    eventually(|| calls.get() <= UNATTENDED).await;
    assert_eq!(calls.get(), UNATTENDED);
}

async fn a_client_that_waits_keeps_a_call_however_many_go_on_without_one(stand: Stand) {
    let (site, gate, _) = hanging(&stand);
    leave(&site, UNATTENDED + 10).await;
    let open = || {
        let site = site.clone();
        tokio::spawn(async move { site.open(request("GET", "/gate", &[])).await })
    };
    let leader = open();
    eventually(|| site.hits() == UNATTENDED + 11).await;
    let follower = open();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    if stand.is_redis() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let reply = Reply::of(follower.await.unwrap().unwrap()).await.unwrap();
    assert_eq!(reply.body, "page");
    assert!(reply.cache_status().contains("collapsed"));
    assert_eq!(site.hits(), UNATTENDED + 11);
}

const MIB: usize = 1 << 20;
const CHUNK: usize = 16 << 10;

/// A body of a megabyte whose last part does not come.
fn unfinished() -> crate::harness::body::Body {
    let chunk = |_| Ok(Frame::data(Bytes::from(vec![b'x'; CHUNK])));
    let chunks = tokio_stream::iter((0..900_000 / CHUNK).map(chunk));
    StreamBody::new(chunks.chain(tokio_stream::pending())).boxed()
}

/// The bytes of memory that this process has. Linux only, as the tests are.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Opens so many pages; those who do not `stay` leave once they have the head.
async fn open_unfinished(site: &Site, clients: std::ops::Range<usize>, stay: bool) -> usize {
    let mut open = Vec::new();
    for n in clients {
        let page = request("GET", &format!("/{n}"), &[]);
        let response = site.open(page).await.unwrap();
        if stay {
            open.push(response);
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    resident()
}

/// In a process of its own: the memory of this one is other tests' as well.
#[test]
fn a_thousand_bodies_under_way_and_ten_thousand_leavers_keep_within_half_more_than_the_budget() {
    const NAME: &str = "cache::floods::a_thousand_bodies_under_way_and_ten_thousand_leavers_keep_within_half_more_than_the_budget";
    const CHILD: &str = "TOWER_KEEP_FLOODED";
    if std::env::var_os(CHILD).is_none() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&child.stdout);
        let errors = String::from_utf8_lossy(&child.stderr);
        let passed = child.status.success() && out.contains("1 passed");
        assert!(passed, "{out}{errors}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let budget = 64 * MIB;
        let mut limits = MemoryLimits::default();
        limits.responses = budget;
        let store = Store::memory_within(&limits);
        store.ping().await.unwrap();
        let origin = Origin::new(async |_| {
            let length = ("content-length", "1000000");
            Ok(with(&[FRESH, length], unfinished()))
        });
        let site = Site::of(&CacheLayer::new(store), origin);
        let before = resident();
        for (clients, stay) in [(0..1_000, true), (1_000..11_000, false)] {
            let grown = open_unfinished(&site, clients, stay).await - before;
            assert!(grown <= budget + budget / 2, "{grown} of {budget}");
        }
    });
}
