//! Redis forgets its scripts, as after a restart or a failover, between any two calls: nothing
//! fails, and every count stays exact.

use std::time::Duration;

use tower_keep::rate_limit::{BanPolicy, RateLimitDecision, RateLimiter};

use super::stand::Stand;
use crate::harness::{eventually, on_redis};

on_redis!(redis: refunds_are_exact, bans_are_exact, blocks_are_exact, places_are_exact);
on_redis!(cluster: refunds_are_exact, bans_are_exact, blocks_are_exact, places_are_exact);

fn forget(stand: &Stand) {
    stand.backend.as_ref().unwrap().flush_scripts();
}

async fn left(limiter: &RateLimiter) -> u64 {
    let seen: RateLimitDecision = limiter.peek("ada").await.unwrap();
    assert!(!seen.is_degraded());
    seen.tightest().unwrap().remaining()
}

async fn refunds_are_exact(stand: Stand) {
    for algorithm in ["gcra", "fixed", "sliding"] {
        let limiter = stand.limiter(&format!(r#""{algorithm}";q=100;w=8640000;alg={algorithm}"#));
        for round in 1..=5 {
            forget(&stand);
            let permit = limiter.reserve("ada", 8).await.unwrap();
            assert!(permit.is_admitted() && !permit.is_degraded());
            forget(&stand);
            assert!(permit.settle(3).await.unwrap());
            forget(&stand);
            assert_eq!(left(&limiter).await, 100 - 3 * round, "{algorithm}");
        }
    }
    stand.assert_tidy();
}

async fn bans_are_exact(stand: Stand) {
    let (within, lasting) = (Duration::from_secs(600), Duration::from_secs(6_000));
    let ban = BanPolicy::new("abuse", 4, within, lasting).unwrap();
    let limiter = stand
        .limiter(r#""one";q=1;w=8640000"#)
        .with_ban(ban)
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..6 {
        forget(&stand);
        let permit = limiter.acquire("ada", 1).await.unwrap();
        assert!(!permit.is_degraded());
        seen.push((permit.is_admitted(), permit.is_banned()));
    }
    let (admitted, denied, banned) = ((true, false), (false, false), (false, true));
    assert_eq!(seen, [admitted, denied, denied, denied, banned, banned]);
}

async fn blocks_are_exact(stand: Stand) {
    let limiter = stand.limiter(r#""hourly";q=1000;w=8640000"#);
    let limiter = limiter.with_blocks(0.01).unwrap();
    let mut admitted = 0;
    for number in 0..1_100 {
        if number % 10 == 0 {
            forget(&stand);
        }
        let permit = limiter.acquire("ada", 1).await.unwrap();
        assert!(!permit.is_degraded());
        admitted += u64::from(permit.is_admitted());
    }
    // Kept back are 10, and a block of 10 may be unspent when its time is over.
    assert!((980..=990).contains(&admitted), "{admitted}");
}

async fn places_are_exact(stand: Stand) {
    let limiter = stand.limiter(r#""slots";q=2;w=4;alg=concurrency"#);
    let mut held = Vec::new();
    for _ in 0..2 {
        forget(&stand);
        held.push(limiter.acquire("ada", 1).await.unwrap());
    }
    // Past their lease: they are renewed by a script that is forgotten again and again.
    for _ in 0..12 {
        forget(&stand);
        let denied = limiter.acquire("ada", 1).await.unwrap();
        assert!(!denied.is_admitted() && !denied.is_degraded());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    held.pop();
    eventually("one place is free, and one alone", async || {
        forget(&stand);
        left(&limiter).await == 1
    })
    .await;
    drop(held);
    eventually("both are free", async || left(&limiter).await == 2).await;
}
