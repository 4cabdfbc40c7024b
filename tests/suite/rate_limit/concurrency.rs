//! Concurrency limits: places are held while a request lasts, and by nobody afterwards.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::rate_limit::{Permit, Quota, RateLimitLayer, RateLimiter};

use super::stand::Stand;
use super::{from, policy, store};
use crate::harness::redis::{Backend, RedisServer};
use crate::harness::{eventually, on_all_stores};

const TWO: &str = r#""slots";q=2;w=60;alg=concurrency"#;

async fn free(limiter: &RateLimiter) -> u64 {
    let seen = limiter.peek("ada").await.unwrap();
    seen.tightest().unwrap().remaining()
}

/// A place is given back by a task where that takes a round trip.
async fn eventually_free(limiter: &RateLimiter, places: u64) {
    let what = format!("{places} places are free");
    eventually(&what, async || free(limiter).await == places).await;
}

on_all_stores!(
    so_many_at_a_time_and_a_dropped_permit_frees_its_place,
    a_request_denied_by_another_limit_takes_no_place,
    what_is_aborted_frees_its_place,
    a_panic_frees_its_place,
    a_place_is_held_until_the_body_has_ended,
    a_place_outlives_its_lease_while_it_is_held_and_not_its_process,
    each_place_is_renewed_in_time_whatever_other_leases_are,
);

async fn so_many_at_a_time_and_a_dropped_permit_frees_its_place(stand: Stand) {
    let limiter = stand.limiter(TWO);
    let one = limiter.acquire("ada", 1).await.unwrap();
    let two = limiter.acquire("ada", 5).await.unwrap();
    assert!(one.is_admitted() && two.is_admitted());
    for _ in 0..3 {
        let denied = limiter.acquire("ada", 1).await.unwrap();
        assert!(!denied.is_admitted());
        assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    }
    assert!(limiter.acquire("bob", 1).await.unwrap().is_admitted());
    drop(one);
    eventually_free(&limiter, 1).await;
    // At once: no denial is remembered of what can end at any time.
    let three = limiter.acquire("ada", 1).await.unwrap();
    assert!(three.is_admitted());
    drop((two, three));
    eventually_free(&limiter, 2).await;
    stand.assert_tidy();
}

async fn a_request_denied_by_another_limit_takes_no_place(stand: Stand) {
    let limiter = stand.limiter(TWO);
    let limiter = limiter.and_policy(policy(r#""burst";q=1;w=1000"#)).unwrap();
    let held = limiter.acquire("ada", 1).await.unwrap();
    assert!(held.is_admitted());
    let denied = limiter.acquire("ada", 1).await.unwrap();
    assert!(!denied.is_admitted());
    let seen = limiter.peek("ada").await.unwrap();
    let left: Vec<_> = seen.iter().map(|p| p.remaining()).collect();
    assert_eq!(left, [1, 0]);
}

async fn what_is_aborted_frees_its_place(stand: Stand) {
    let limiter = stand.limiter(TWO);
    for _ in 0..20 {
        // Some leave before the answer, some after it.
        let task = tokio::spawn({
            let limiter = limiter.clone();
            async move {
                let _permit = limiter.acquire("ada", 1).await.unwrap();
                sleep(Duration::from_secs(600)).await;
            }
        });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
    }
    eventually_free(&limiter, 2).await;
}

async fn a_panic_frees_its_place(stand: Stand) {
    let layer = RateLimitLayer::new(stand.store.clone(), policy(TWO));
    let service = layer.layer(service_fn(
        async |_: http::Request<()>| -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
            panic!("a handler that panics")
        },
    ));
    for _ in 0..5 {
        eventually("a place is free", async || {
            let request = from("192.0.2.1").body(()).unwrap();
            let task = tokio::spawn(service.clone().oneshot(request));
            // What is denied does not get as far as the handler.
            task.await.is_err_and(|error| error.is_panic())
        })
        .await;
    }
}

async fn a_place_is_held_until_the_body_has_ended(stand: Stand) {
    let layer = RateLimitLayer::new(
        stand.store.clone(),
        policy(r#""slots";q=1;w=60;alg=concurrency"#),
    );
    let service = layer.layer(service_fn(async |_: http::Request<()>| {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"body"))))
    }));
    let send = async || {
        let request = from("192.0.2.1").body(()).unwrap();
        service.clone().oneshot(request).await.unwrap()
    };
    let first = send().await;
    assert_eq!(first.status(), 200);
    let denied = send().await;
    assert_eq!(denied.status(), 429);
    assert_eq!(denied.headers()["retry-after"], "1");
    assert_eq!(denied.headers()["ratelimit"], r#""slots";r=0"#);
    let policy = r#""slots";q=1;qu="concurrent-requests""#;
    assert_eq!(denied.headers()["ratelimit-policy"], policy);
    let (_, body) = first.into_parts();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "body");
    eventually("the place is free", async || send().await.status() == 200).await;
}

async fn a_place_outlives_its_lease_while_it_is_held_and_not_its_process(stand: Stand) {
    let limiter = stand.limiter(r#""slots";q=2;w=1;alg=concurrency"#);
    let held = limiter.acquire("ada", 1).await.unwrap();
    assert!(held.is_admitted());
    // A process that crashes: nobody drops the permit, and nobody renews it.
    let crashed = {
        let other_store = stand.other_store();
        let crashed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let item = policy(r#""slots";q=2;w=1;alg=concurrency"#);
                let limiter = RateLimiter::new(other_store(), item);
                let permit = limiter.acquire("ada", 1).await.unwrap();
                assert!(permit.is_admitted());
                std::mem::forget(permit);
            });
        });
        tokio::task::spawn_blocking(move || crashed.join().unwrap())
    };
    crashed.await.unwrap();
    assert_eq!(free(&limiter).await, 0);
    sleep(Duration::from_millis(1_300)).await;
    assert_eq!(free(&limiter).await, 1);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(free(&limiter).await, 1);
    drop(held);
    eventually_free(&limiter, 2).await;
}

/// A tenant's lease can be shorter than that of the place that was held first.
async fn each_place_is_renewed_in_time_whatever_other_leases_are(stand: Stand) {
    let limiter = stand.limiter(r#""slots";q=2;w=600;alg=concurrency"#);
    let _long = limiter.acquire("ada", 1).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let short = Quota::new(2, Duration::from_secs(1)).unwrap();
    let shorter = limiter.with_quotas(|_| Some(short));
    let _short = shorter.acquire("ada", 1).await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_millis(400)).await;
        assert_eq!(free(&shorter).await, 1);
    }
}

/// Else a lease would be over before all of its places were renewed.
#[tokio::test]
async fn thousands_of_places_are_renewed_in_a_few_round_trips() {
    const PLACES: u64 = 4_000;
    let stand = Stand::on(Backend::redis()).await;
    let limiter = stand.limiter(&format!(r#""slots";q={PLACES};w=3;alg=concurrency"#));
    let calls = (0..PLACES).map(|_| limiter.acquire("ada", 1));
    let permits = futures_util::future::join_all(calls).await;
    let admitted = |permit: &Result<Permit, _>| permit.as_ref().unwrap().is_admitted();
    assert!(permits.iter().all(admitted));

    let backend = stand.backend.as_ref().unwrap();
    let scripts = || backend.command_calls().get("evalsha").copied();
    let reads = || -> u64 {
        let stats: String = backend.query(&["INFO", "stats"]);
        let mut lines = stats.lines();
        let reads = lines.find_map(|line| line.strip_prefix("total_reads_processed:"));
        reads.unwrap().parse().unwrap()
    };
    let (scripts_before, reads_before) = (scripts().unwrap(), reads());
    eventually("all are renewed", async || {
        scripts().unwrap() - scripts_before >= PLACES
    })
    .await;
    // Those in which it was asked whether all are renewed are among them.
    let trips = reads() - reads_before;
    assert!(
        trips < PLACES / 2,
        "{trips} round trips for {PLACES} places"
    );
    drop(permits);
    eventually_free(&limiter, PLACES).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_is_renewed_however_long_a_request_takes() {
    let limiter = Stand::memory().limiter(r#""slots";q=1;w=10;alg=concurrency"#);
    let held = limiter.acquire("ada", 1).await.unwrap();
    for _ in 0..100 {
        sleep(Duration::from_secs(7)).await;
        assert_eq!(free(&limiter).await, 0);
    }
    drop(held);
    assert_eq!(free(&limiter).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_have_more_at_a_time_than_the_quota() {
    let redis = RedisServer::start();
    let item = r#""slots";q=5;w=60;alg=concurrency"#;
    let processes = [
        RateLimiter::new(store(&redis), policy(item)),
        RateLimiter::new(store(&redis), policy(item)),
    ];
    let running = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (limiter, running) = (processes[number % 2].clone(), running.clone());
        tasks.spawn(async move {
            let permit = limiter.acquire("ada", 1).await.unwrap();
            if permit.is_admitted() {
                let now = running.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                assert!(now <= 5, "{now} at a time");
                sleep(Duration::from_millis(5)).await;
                running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
            permit.is_admitted()
        });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|it| *it).count();
    assert!(admitted >= 5, "{admitted}");
    eventually_free(&processes[0], 5).await;
}
