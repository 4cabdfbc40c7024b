//! The limits as plain calls, on every store.

use std::time::Duration;

use tower_keep::rate_limit::{BanPolicy, Quota, RateLimitDecision, RateLimiter};

use super::stand::Stand;
use super::{policy, store};
use crate::harness::on_all_stores;
use crate::harness::redis::RedisServer;

fn remaining(decision: &RateLimitDecision) -> Vec<u64> {
    decision.iter().map(|policy| policy.remaining()).collect()
}

const ALGORITHMS: [&str; 3] = ["gcra", "fixed", "sliding"];

/// Nothing comes back of such a quota while a test runs.
fn daily(quota: u64, algorithm: &str) -> String {
    format!(r#""daily";q={quota};w=864000;alg={algorithm}"#)
}

on_all_stores!(
    a_key_has_its_quota_and_gets_it_back_by_a_reset,
    several_policies_take_of_all_or_of_none,
    looking_takes_nothing,
    a_reservation_gives_back_what_was_not_needed_and_only_once,
    a_settlement_takes_what_was_needed_beyond_as_far_as_there_is_some,
    a_refund_after_a_reset_takes_nothing_from_what_others_were_charged,
    a_refund_ends_the_denials_of_this_process,
    a_raised_quota_is_in_force_with_the_next_call,
    a_reset_is_of_the_quotas_that_are_in_force,
    a_cost_beyond_all_numbers_never_fits_and_spoils_nothing,
    who_is_denied_too_often_is_banned_by_all_processes,
    a_reset_ends_a_ban,
    a_ban_counts_denials_and_not_what_is_admitted,
);

async fn a_key_has_its_quota_and_gets_it_back_by_a_reset(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(3, algorithm));
        for left in [2, 1, 0] {
            let permit = limiter.acquire("ada", 1).await.unwrap();
            assert!(permit.is_admitted());
            assert_eq!(remaining(&permit), [left], "{algorithm}");
        }
        for _ in 0..3 {
            let denied = limiter.acquire("ada", 1).await.unwrap();
            assert!(!denied.is_admitted());
            assert!(denied.retry_after().is_some(), "{algorithm}");
        }
        assert!(limiter.acquire("bob", 3).await.unwrap().is_admitted());
        limiter.reset("ada").await.unwrap();
        let permit = limiter.acquire("ada", 1).await.unwrap();
        assert_eq!(remaining(&permit), [2], "{algorithm}");
        assert!(!limiter.acquire("bob", 1).await.unwrap().is_admitted());
    }
    stand.assert_tidy();
}

async fn several_policies_take_of_all_or_of_none(stand: Stand) {
    let limiter = stand.limiter(r#""a";q=10;w=864000"#);
    let limiter = limiter.and_policy(policy(r#""b";q=7;w=864001"#)).unwrap();
    let limiter = limiter
        .and_policy(policy(r#""c";q=5;w=864000;alg=fixed"#))
        .unwrap();
    let limiter = limiter
        .and_policy(policy(r#""d";q=3;w=864000;alg=sliding"#))
        .unwrap();
    assert_eq!(
        remaining(&limiter.acquire("ada", 2).await.unwrap()),
        [8, 5, 3, 1]
    );
    let denied = limiter.acquire("ada", 2).await.unwrap();
    assert_eq!(remaining(&denied), [8, 5, 3, 1]);
    let violated: Vec<_> = denied.iter().filter(|p| p.is_violated()).collect();
    assert_eq!(violated.len(), 1);
    assert_eq!(violated[0].policy().name(), "d");
    assert_eq!(
        remaining(&limiter.acquire("ada", 1).await.unwrap()),
        [7, 4, 2, 0]
    );
    stand.assert_tidy();
}

async fn looking_takes_nothing(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(3, algorithm));
        for _ in 0..5 {
            let seen = limiter.peek("ada").await.unwrap();
            assert!(seen.is_admitted());
            assert_eq!(remaining(&seen), [3]);
        }
    }
    stand.assert_empty();
}

async fn a_reservation_gives_back_what_was_not_needed_and_only_once(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(10, algorithm));
        let left = async || remaining(&limiter.peek("ada").await.unwrap());
        let permit = limiter.reserve("ada", 6).await.unwrap();
        assert_eq!(remaining(&permit), [4]);
        assert!(permit.settle(2).await.unwrap());
        assert_eq!(left().await, [8], "{algorithm}");
        assert!(!permit.settle(0).await.unwrap());
        assert_eq!(left().await, [8], "{algorithm}");
        // Another request's reservation is its own.
        let other = limiter.reserve("ada", 3).await.unwrap();
        assert!(other.settle(0).await.unwrap());
        assert_eq!(left().await, [8], "{algorithm}");
        let plain = limiter.acquire("ada", 1).await.unwrap();
        assert!(!plain.settle(0).await.unwrap());
        assert_eq!(left().await, [7], "{algorithm}");
    }
    stand.assert_tidy();
}

async fn a_settlement_takes_what_was_needed_beyond_as_far_as_there_is_some(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(10, algorithm));
        let permit = limiter.reserve("ada", 2).await.unwrap();
        assert!(permit.settle(5).await.unwrap());
        let left = remaining(&limiter.peek("ada").await.unwrap());
        assert_eq!(left, [5], "{algorithm}");
        let permit = limiter.reserve("ada", 1).await.unwrap();
        assert!(permit.settle(100).await.unwrap());
        let left = remaining(&limiter.peek("ada").await.unwrap());
        assert_eq!(left, [0], "{algorithm}");
    }
    stand.assert_tidy();
}

async fn a_refund_after_a_reset_takes_nothing_from_what_others_were_charged(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(10, algorithm));
        let permit = limiter.reserve("ada", 6).await.unwrap();
        limiter.reset("ada").await.unwrap();
        // Nothing is there: nothing is made, least of all a key that stays.
        assert!(permit.settle(0).await.unwrap());
        stand.assert_empty();
        let permit = limiter.reserve("ada", 6).await.unwrap();
        limiter.reset("ada").await.unwrap();
        assert!(limiter.reserve("ada", 7).await.unwrap().is_admitted());
        assert!(permit.settle(0).await.unwrap());
        let left = remaining(&limiter.peek("ada").await.unwrap());
        assert_eq!(left, [3], "{algorithm}");
        limiter.reset("ada").await.unwrap();
    }
    stand.assert_tidy();
}

async fn a_refund_ends_the_denials_of_this_process(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(10, algorithm));
        let permit = limiter.reserve("ada", 10).await.unwrap();
        assert!(!limiter.acquire("ada", 1).await.unwrap().is_admitted());
        assert!(permit.settle(1).await.unwrap());
        let next = limiter.acquire("ada", 1).await.unwrap();
        assert_eq!(remaining(&next), [8], "{algorithm}");
    }
}

async fn a_raised_quota_is_in_force_with_the_next_call(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(2, algorithm));
        assert!(limiter.acquire("ada", 2).await.unwrap().is_admitted());
        assert!(!limiter.acquire("ada", 1).await.unwrap().is_admitted());
        let raised = Quota::new(20, Duration::from_secs(864_000)).unwrap();
        let raised = limiter.with_quotas(|policy| (policy.name() == "daily").then_some(raised));
        // All of two is all of twenty: the used fraction stays.
        assert!(!raised.acquire("ada", 1).await.unwrap().is_admitted());
        limiter.reset("ada").await.unwrap();
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
        assert_eq!(
            remaining(&raised.acquire("ada", 1).await.unwrap()),
            [9],
            "{algorithm}"
        );
        // And what was denied under the lower quota is asked anew under the higher one.
        assert!(!limiter.acquire("ada", 2).await.unwrap().is_admitted());
        assert!(
            raised.acquire("ada", 2).await.unwrap().is_admitted(),
            "{algorithm}"
        );
    }
}

/// Another window is another state.
async fn a_reset_is_of_the_quotas_that_are_in_force(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(2, algorithm));
        let plan = Quota::new(5, Duration::from_secs(432_000)).unwrap();
        let planned = limiter.with_quotas(|_| Some(plan));
        for by_permit in [false, true] {
            let permit = planned.acquire("ada", 5).await.unwrap();
            assert_eq!(remaining(&permit), [0], "{algorithm}");
            assert!(!planned.acquire("ada", 1).await.unwrap().is_admitted());
            match by_permit {
                true => assert!(permit.reset("daily").await.unwrap()),
                false => planned.reset("ada").await.unwrap(),
            }
            let seen = planned.peek("ada").await.unwrap();
            assert_eq!(remaining(&seen), [5], "{algorithm}");
        }
    }
    stand.assert_empty();
}

async fn a_cost_beyond_all_numbers_never_fits_and_spoils_nothing(stand: Stand) {
    for algorithm in ALGORITHMS {
        let limiter = stand.limiter(&daily(10, algorithm));
        assert!(limiter.acquire("ada", 4).await.unwrap().is_admitted());
        for cost in [11, 1 << 53, 1 << 63, u64::MAX] {
            let denied = limiter.acquire("ada", cost).await.unwrap();
            assert!(!denied.is_admitted(), "{algorithm}: {cost}");
            assert_eq!(denied.retry_after(), None, "{algorithm}: {cost}");
            assert_eq!(remaining(&denied), [6], "{algorithm}: {cost}");
        }
        let permit = limiter.reserve("ada", 1).await.unwrap();
        assert!(permit.settle(u64::MAX).await.unwrap());
        let seen = limiter.peek("ada").await.unwrap();
        assert_eq!(remaining(&seen), [0], "{algorithm}");
    }
    stand.assert_tidy();
}

fn banning(limiter: RateLimiter, denials: u64) -> RateLimiter {
    let (within, lasting) = (Duration::from_secs(60), Duration::from_secs(600));
    limiter
        .with_ban(BanPolicy::new("abuse", denials, within, lasting).unwrap())
        .unwrap()
}

async fn who_is_denied_too_often_is_banned_by_all_processes(stand: Stand) {
    let process = || banning(stand.limiter(r#""burst";q=1;w=1000"#), 3);
    let (one, other) = (process(), process());
    assert!(one.acquire("ada", 1).await.unwrap().is_admitted());
    for limiter in [&one, &other] {
        let denied = limiter.acquire("ada", 1).await.unwrap();
        assert!(!denied.is_admitted() && !denied.is_banned());
    }
    // The third denial brings the ban.
    let banned = one.acquire("ada", 1).await.unwrap();
    assert!(banned.is_banned() && !banned.is_admitted());
    assert_eq!(banned.ban(), Some("abuse"));
    let told = banned.retry_after().unwrap();
    assert!((900..=1_000).contains(&told.as_secs()), "{told:?}");
    for limiter in [&one, &other, &process()] {
        let banned = limiter.acquire("ada", 1).await.unwrap();
        assert!(banned.is_banned());
    }
    assert!(other.acquire("bob", 1).await.unwrap().is_admitted());
    stand.assert_tidy();
}

async fn a_reset_ends_a_ban(stand: Stand) {
    let limiter = banning(stand.limiter(r#""burst";q=1;w=1000"#), 1);
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    assert!(limiter.acquire("ada", 1).await.unwrap().is_banned());
    assert!(limiter.acquire("ada", 1).await.unwrap().is_banned());
    limiter.reset("ada").await.unwrap();
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
}

async fn a_ban_counts_denials_and_not_what_is_admitted(stand: Stand) {
    let limiter = banning(stand.limiter(r#""burst";q=10;w=1000"#), 2);
    for _ in 0..10 {
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
        assert!(!limiter.peek("ada").await.unwrap().is_banned());
    }
    assert!(!limiter.acquire("ada", 1).await.unwrap().is_banned());
    assert!(!limiter.peek("ada").await.unwrap().is_banned());
    assert!(limiter.acquire("ada", 1).await.unwrap().is_banned());
    assert!(limiter.peek("ada").await.unwrap().is_banned());
}

#[tokio::test(start_paused = true)]
async fn each_further_ban_lasts_twice_as_long_up_to_the_longest() {
    let (within, lasting) = (Duration::from_secs(60), Duration::from_secs(100));
    let ban = BanPolicy::new("abuse", 2, within, lasting).unwrap();
    let ban = ban.with_longest(Duration::from_secs(300)).unwrap();
    let limiter = Stand::memory()
        .limiter(r#""burst";q=1;w=1"#)
        .with_ban(ban)
        .unwrap();
    for seconds in [100, 200, 300, 300] {
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
        assert!(!limiter.acquire("ada", 1).await.unwrap().is_banned());
        let banned = limiter.acquire("ada", 1).await.unwrap();
        assert_eq!(banned.retry_after(), Some(Duration::from_secs(seconds)));
        tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        assert!(limiter.acquire("ada", 1).await.unwrap().is_banned());
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    // Who has behaved for as long as the longest ban starts anew.
    tokio::time::advance(Duration::from_secs(301)).await;
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    for _ in 0..2 {
        let _ = limiter.acquire("ada", 1).await.unwrap();
    }
    let banned = limiter.acquire("ada", 1).await.unwrap();
    assert_eq!(banned.retry_after(), Some(Duration::from_secs(100)));
}

#[tokio::test(start_paused = true)]
async fn a_refund_gives_back_no_more_than_is_still_charged() {
    let limiter = Stand::memory().limiter(r#""burst";q=10;w=10"#);
    let permit = limiter.reserve("ada", 10).await.unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    // Four have come back by time: six of ten are left to give.
    assert!(permit.settle(0).await.unwrap());
    assert_eq!(remaining(&limiter.peek("ada").await.unwrap()), [10]);
    let permit = limiter.reserve("ada", 10).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(limiter.acquire("ada", 10).await.unwrap().is_admitted());
    // All had come back: nothing of what was charged since is given away.
    assert!(permit.settle(0).await.unwrap());
    assert_eq!(remaining(&limiter.peek("ada").await.unwrap()), [0]);
}

#[tokio::test]
async fn a_repeated_denial_asks_the_store_once_and_a_limit_costs_one_command() {
    let redis = RedisServer::start();
    let limiter = RateLimiter::new(store(&redis), policy(r#""a";q=2;w=3600"#));
    let limiter = limiter
        .and_policy(policy(r#""b";q=7;w=3601;alg=sliding"#))
        .unwrap();
    let limiter = limiter
        .and_policy(policy(r#""c";q=7;w=3600;alg=fixed"#))
        .unwrap();
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    redis.reset_stats();
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    assert_eq!(redis.command_calls().get("evalsha"), Some(&1));
    redis.reset_stats();
    for _ in 0..1_000 {
        assert!(!limiter.acquire("ada", 1).await.unwrap().is_admitted());
    }
    let asked = redis.command_calls().get("evalsha").copied().unwrap_or(0);
    assert!((1..=2).contains(&asked), "{asked}");
}
