//! Embedded memory under floods: what it takes of the process, and what stays.

use std::{convert::Infallible, ops::Range, process::Command, time::Duration};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    PeerAddr, Store,
    cache::CacheLayer,
    key_value::KeyValue,
    rate_limit::RateLimitLayer,
    session::{Session, SessionLayer},
    store::MemoryLimits,
};

use super::HOUR;

const MIB: usize = 1 << 20;

fn within(budget: usize) -> Store {
    let mut limits = MemoryLimits::default();
    limits.rate_limits = budget;
    limits.sessions = budget;
    limits.responses = budget;
    limits.values = budget;
    Store::memory_within(&limits)
}

/// The bytes of memory that this process has. Linux only, as the tests are.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Which of the cases a child process is to run.
const CASE: &str = "TOWER_KEEP_RESIDENT_CASE";

/// Keys, the size of each value, and the budget that they go over.
const CASES: [(usize, usize, usize); 7] = [
    (60_000, 1, 8 * MIB),
    (60_000, 20, 8 * MIB),
    (30_000, 100, 8 * MIB),
    (30_000, 1_000, 16 * MIB),
    (3_000, 100_000, 64 * MIB),
    (60, 9_000_000, 128 * MIB),
    // Of all sizes, one after the other.
    (30_000, 0, 32 * MIB),
];

#[test]
fn the_process_takes_at_most_half_more_than_the_budget_whatever_the_sizes_of_values() {
    in_children(
        "store::memory::the_process_takes_at_most_half_more_than_the_budget_whatever_the_sizes_of_values",
        0..CASES.len(),
        async |store, keys, size| {
            let values = KeyValue::new(store, "flood").unwrap();
            for n in 0..keys {
                let size = match size {
                    0 => [20, 300, 4_000, 70_000, 900][n % 5],
                    size => size,
                };
                values.set(n, &"x".repeat(size), HOUR).await.unwrap();
                let _ = values.get::<String>(n / 2).await.unwrap();
            }
            values.exists(keys - 1).await.unwrap()
        },
    );
}

#[test]
fn the_process_takes_at_most_half_more_than_the_budget_whatever_the_sizes_of_sessions() {
    in_children(
        "store::memory::the_process_takes_at_most_half_more_than_the_budget_whatever_the_sizes_of_sessions",
        0..CASES.len(),
        async |store, keys, size| {
            let layer = SessionLayer::new(store);
            let service = layer.layer(service_fn(async |request: Request<usize>| {
                let session = request.extensions().get::<Session>().unwrap();
                let data = "x".repeat(*request.body());
                session.insert("data", &data).unwrap();
                Ok::<_, Infallible>(Response::new(String::new()))
            }));
            // A session has bounds of its own.
            for n in 0..keys {
                let size = match size {
                    0 => [20, 300, 4_000, 900][n % 4],
                    size => size.min(10_000),
                };
                let response = service.clone().oneshot(Request::new(size)).await.unwrap();
                assert!(response.headers().contains_key(header::SET_COOKIE));
            }
            true
        },
    );
}

#[test]
fn the_process_takes_at_most_half_more_than_the_budget_whatever_the_number_of_clients() {
    in_children(
        "store::memory::the_process_takes_at_most_half_more_than_the_budget_whatever_the_number_of_clients",
        // A state has one size.
        0..1,
        async |store, keys, _| {
            let limit = |policy: &str| {
                let layer = RateLimitLayer::new(store.clone(), policy.parse().unwrap());
                layer.layer(service_fn(async |_: Request<String>| {
                    Ok::<_, Infallible>(Response::new(String::new()))
                }))
            };
            let outer = limit(r#""day";q=5;w=86400"#);
            let inner = limit(r#""hour";q=5;w=3600;alg=fixed"#);
            let mut last = StatusCode::BAD_REQUEST;
            for peer in 0..keys as u32 {
                for service in [&outer, &inner] {
                    let mut request = Request::new(String::new());
                    let peer = PeerAddr((peer.to_be_bytes(), 1).into());
                    request.extensions_mut().insert(peer);
                    last = service.clone().oneshot(request).await.unwrap().status();
                }
            }
            last == StatusCode::OK
        },
    );
}

#[test]
fn a_store_that_nothing_was_put_into_takes_next_to_nothing() {
    let before = resident();
    let stores: Vec<Store> = (0..200).map(|_| Store::memory()).collect();
    let each = resident().saturating_sub(before) / stores.len();
    // Other tests take theirs meanwhile.
    assert!(each < MIB, "{each}");
}

/// Runs the test of this name once for each of these cases, in a process of its own: the memory of
/// this one is other tests' as well.
fn in_children(name: &str, cases: Range<usize>, flood: impl AsyncFn(Store, usize, usize) -> bool) {
    if let Ok(case) = std::env::var(CASE) {
        let (keys, size, budget) = CASES[case.parse::<usize>().unwrap()];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            // What the program itself needs comes first.
            assert!(flood(within(MIB), 200, size.min(1_000)).await);
            let store = within(budget);
            store.ping().await.unwrap();
            let before = resident();
            assert!(flood(store, keys, size).await);
            let grown = resident().saturating_sub(before);
            let case = format!("{keys} of {size} bytes");
            assert!(grown <= budget + budget / 2, "{case}: {grown} of {budget}");
        });
        return;
    }
    for case in cases {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CASE, case.to_string())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && out.contains("1 passed"),
            "{case}: {out}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_clients_does_not_reset_a_limit_that_denies() {
    let store = within(MIB);
    let limit = |policy: &str| {
        let layer = RateLimitLayer::new(store.clone(), policy.parse().unwrap());
        layer.layer(service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        }))
    };
    let (login, all) = (limit(r#""login";q=3;w=3600"#), limit(r#""all";q=100;w=60"#));
    let request = |peer: u32| {
        let mut request = Request::new(String::new());
        let peer = PeerAddr((peer.to_be_bytes(), 1).into());
        request.extensions_mut().insert(peer);
        request
    };
    for _ in 0..4 {
        login.clone().oneshot(request(1)).await.unwrap();
    }
    for peer in 2..50_000 {
        all.clone().oneshot(request(peer)).await.unwrap();
    }
    // A layer of its own remembers nothing by itself: the store has to.
    let login = limit(r#""login";q=3;w=3600"#);
    let denied = login.oneshot(request(1)).await.unwrap();
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_flood_of_new_sessions_logs_nobody_out_who_is_in_use() {
    let store = within(MIB);
    let layer = SessionLayer::new(store);
    let service = layer.layer(service_fn(async |request: Request<&'static str>| {
        let session = request.extensions().get::<Session>().unwrap();
        let user: Option<String> = session.get("user").await.unwrap();
        if user.is_none() {
            session.insert("user", request.body()).unwrap();
        }
        let known = if user.is_some() { 200 } else { 201 };
        Ok::<_, Infallible>(
            Response::builder()
                .status(known)
                .body(String::new())
                .unwrap(),
        )
    }));
    let ask = async |cookie: Option<&str>| {
        let mut request = Request::new("ada");
        if let Some(cookie) = cookie {
            let cookie = cookie.parse().unwrap();
            request.headers_mut().insert(header::COOKIE, cookie);
        }
        service.clone().oneshot(request).await.unwrap()
    };
    let mut users = Vec::new();
    for _ in 0..50 {
        let response = ask(None).await;
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        users.push(cookie.split(';').next().unwrap().to_owned());
    }
    for user in &users {
        assert_eq!(ask(Some(user)).await.status(), 200);
    }
    for _ in 0..30_000 {
        ask(None).await;
    }
    let mut there = 0;
    for user in &users {
        there += usize::from(ask(Some(user)).await.status() == 200);
    }
    assert_eq!(there, 50);
}

#[tokio::test]
async fn a_flood_of_paths_pushes_out_no_hot_response() {
    let store = within(4 * MIB);
    let origin = service_fn(async |request: Request<String>| {
        let response = Response::builder().header(header::CACHE_CONTROL, "max-age=600");
        Ok::<_, Infallible>(response.body(request.uri().path().repeat(10)).unwrap())
    });
    let service = CacheLayer::new(store).layer(origin);
    let ask = async |path: String| {
        let uri = format!("http://flood.test/{path}");
        let request = Request::builder().uri(uri).body(String::new()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let status = response.headers()["cache-status"]
            .to_str()
            .unwrap()
            .to_owned();
        response.into_body().collect().await.unwrap();
        status.contains("hit")
    };
    for _ in 0..4 {
        for n in 0..20 {
            ask(format!("hot{n}")).await;
        }
    }
    for n in 0..20_000 {
        ask(format!("cold{n}")).await;
    }
    for n in 0..20 {
        assert!(ask(format!("hot{n}")).await, "{n}");
    }
}

#[tokio::test]
async fn a_value_of_nine_megabytes_fits_and_one_over_a_quarter_is_an_error_to_its_writer() {
    let store = within(64 * MIB);
    let values = KeyValue::new(store, "large").unwrap();
    let large = "x".repeat(9_000_000);
    for id in 0..20 {
        values.set(id, &large, HOUR).await.unwrap();
        assert!(values.exists(id).await.unwrap());
    }
    let error = values
        .set(21, &"x".repeat(17 * MIB), Duration::from_secs(60))
        .await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("larger than embedded memory takes"),
        "{error}"
    );
}
