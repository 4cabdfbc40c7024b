//! Whose clock counts: the server's alone.

use std::time::Duration;

use tokio::time::Instant;
use tower_keep::rate_limit::{Permit, RateLimiter};

use super::policy;
use super::stand::Stand;
use crate::harness::on_redis;

on_redis!(redis: an_application_whose_clocks_are_an_hour_ahead_counts_like_all_others);
on_redis!(cluster: an_application_whose_clocks_are_an_hour_ahead_counts_like_all_others);

/// Calls of a process whose clocks, the wall clock and the monotonic one, were put an hour forward
/// once it was connected; so they are an hour ahead of those of the server and of other processes.
async fn an_hour_ahead<T: Send + 'static>(
    stand: &Stand,
    item: &str,
    calls: impl AsyncFnOnce(RateLimiter) -> T + Send + 'static,
) -> T {
    let (store, item) = (stand.other_store(), item.to_owned());
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async move {
            let limiter = RateLimiter::new(store(), policy(&item));
            while limiter.peek("").await.unwrap().is_degraded() {}
            let before = Instant::now();
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(3_600)).await;
            tokio::time::resume();
            assert!(before.elapsed() >= Duration::from_secs(3_600));
            calls(limiter).await
        })
    });
    tokio::task::spawn_blocking(move || process.join().unwrap())
        .await
        .unwrap()
}

async fn admitted(limiter: &RateLimiter, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        let permit = limiter.acquire("ada", 1).await.unwrap();
        admitted += usize::from(permit.is_admitted());
    }
    admitted
}

fn told(permit: &Permit) -> u64 {
    permit.retry_after().unwrap().as_secs()
}

async fn an_application_whose_clocks_are_an_hour_ahead_counts_like_all_others(stand: Stand) {
    // In an hour half of each would have come back, or all of it.
    for (alg, window) in [("gcra", 7_200), ("fixed", 1_800), ("sliding", 1_800)] {
        let item = format!(r#""hour-{alg}";q=50;w={window};alg={alg}"#);
        let here = stand.limiter(&item);
        assert_eq!(admitted(&here, 20).await, 20);
        let there = an_hour_ahead(&stand, &item, async |limiter| {
            let admitted = admitted(&limiter, 60).await;
            (admitted, told(&limiter.acquire("ada", 1).await.unwrap()))
        });
        let (of_the_other, wait) = there.await;
        assert_eq!(of_the_other, 30, "{alg}");
        // What it has stored means the same here.
        assert_eq!(admitted(&here, 20).await, 0, "{alg}");
        let here = told(&here.acquire("ada", 1).await.unwrap());
        assert!(
            here.abs_diff(wait) <= 30,
            "{alg}: {here} s here, {wait} s there"
        );
    }
    // A place that is held here is not over there.
    let item = r#""slots";q=1;w=60;alg=concurrency"#;
    let here = stand.limiter(item);
    let held = here.acquire("ada", 1).await.unwrap();
    assert!(held.is_admitted());
    let there = an_hour_ahead(&stand, item, async |limiter| admitted(&limiter, 3).await);
    assert_eq!(there.await, 0);
    drop(held);
    stand.assert_tidy();
}
