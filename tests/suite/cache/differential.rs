//! Embedded memory and Redis, driven by the same random requests, answer the same.

use http::{Method, Request};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tower_keep::{Store, cache::CacheLayer};

use super::stand::{Origin, Site, Stand, ok, status};

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
    )
        .prop_map(
            |(method, path, x, client, range, cache_control, vary, status)| Visit {
                method,
                path,
                x,
                client,
                range,
                cache_control,
                vary,
                status,
            },
        )
}

fn origin() -> Origin {
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
        let unchanged = request
            .headers()
            .get("if-none-match")
            .is_some_and(|known| *known == *tag);
        let response = match said("origin-status") {
            "200" if unchanged && request.method() == Method::GET => status(304, &lines),
            "200" if request.method() == Method::GET => ok(&lines, format!("body {number}")),
            code => status(code.parse().unwrap(), &lines),
        };
        async { Ok(response) }
    })
}

/// All that the clients see.
async fn transcript(store: Store, visits: &[Visit]) -> Vec<String> {
    let site = Site::of(&CacheLayer::new(store.clone()), origin());
    let mut lines = Vec::new();
    for visit in visits {
        let mut fields = vec![
            ("x", visit.x),
            ("origin-cache-control", visit.cache_control),
            ("origin-vary", visit.vary),
            ("origin-status", visit.status),
        ];
        if !visit.client.is_empty() {
            fields.push(("cache-control", visit.client));
        }
        if visit.range {
            fields.push(("range", "bytes=0-2"));
        }
        let reply = site.send(visit.method, visit.path, &fields).await;
        // Ages and lifetimes are the clock's.
        let status = reply
            .cache_status()
            .split("ttl=")
            .next()
            .unwrap()
            .to_owned();
        lines.push(format!("{} {:?} {status}", reply.status, reply.body));
        quiesce(&store).await;
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stand = runtime.block_on(Stand::redis());
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let visits = prop::collection::vec(visit(), 1..16);
    runner
        .run(&visits, |visits| {
            case.set(case.get() + 1);
            let namespace = format!("case{}", case.get());
            let redis = stand.store.clone().with_namespace(&namespace).unwrap();
            let (memory, redis) = runtime.block_on(async {
                (
                    transcript(Store::memory(), &visits).await,
                    transcript(redis, &visits).await,
                )
            });
            prop_assert_eq!(memory, redis);
            Ok(())
        })
        .unwrap();
    stand.server().assert_every_key_has_a_ttl();
}
