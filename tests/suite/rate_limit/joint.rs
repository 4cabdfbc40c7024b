//! Limits over several subjects in one request: of all or of none, on every store.

use std::time::{Duration, Instant};

use tower_keep::rate_limit::{
    BanPolicy, JointRateLimiter, Permit, QuotaPolicyError, RateLimitDecision,
    RateLimitOnStoreError, RateLimiter,
};
use tower_keep::{Store, store::MemoryLimits};

use super::stand::Stand;
use crate::harness::{eventually, on_all_stores};

on_all_stores!(
    every_limiter_is_asked_about_its_own_key,
    who_is_denied_by_one_has_consumed_of_none,
    a_cost_that_one_does_not_hold_leaves_the_others_whole,
    looking_takes_nothing_of_any,
    a_reservation_goes_back_to_each,
    a_reset_of_one_leaves_the_others,
    a_ban_counts_the_denials_of_its_own_limiter,
    a_place_is_taken_of_all_or_of_none,
    many_at_once_are_admitted_exactly_as_often_as_the_tightest_says,
    two_processes_deny_each_other_nothing_for_good,
    who_leaves_before_the_answer_leaves_nothing_behind,
    the_same_subject_twice_counts_once_for_each,
    what_would_be_admitted_soon_enough_waits_for_all_of_them,
    a_ban_counts_only_who_may_not_wait,
);

const ALGORITHMS: [&str; 3] = ["gcra", "fixed", "sliding"];

/// Of which nothing comes back while a test runs.
fn daily(name: &str, quota: u64, algorithm: &str) -> String {
    format!(r#""{name}";q={quota};w=864000;alg={algorithm}"#)
}

fn remaining(decision: &RateLimitDecision) -> Vec<u64> {
    decision.iter().map(|policy| policy.remaining()).collect()
}

fn violated(decision: &RateLimitDecision) -> Vec<&str> {
    let violated = decision.iter().filter(|policy| policy.is_violated());
    violated.map(|policy| policy.policy().name()).collect()
}

/// By address, by name, and for all together.
fn three(stand: &Stand, quotas: [u64; 3], algorithm: &str) -> JointRateLimiter<3> {
    let names = ["address", "name", "all"];
    let limiter = |n: usize| stand.limiter(&daily(names[n], quotas[n], algorithm));
    JointRateLimiter::new([limiter(0), limiter(1), limiter(2)]).unwrap()
}

async fn every_limiter_is_asked_about_its_own_key(stand: Stand) {
    for algorithm in ALGORITHMS {
        let joint = three(&stand, [10, 5, 20], algorithm);
        let keys = [algorithm, "ada", "all"];
        let permit = joint.acquire(keys, 2).await.unwrap();
        assert_eq!(remaining(&permit), [8, 3, 18]);
        let other = joint.acquire([algorithm, "bob", "all"], 1).await.unwrap();
        assert_eq!(remaining(&other), [7, 4, 17]);
        // Each is the limiter that it is by itself.
        let [addresses, names, all] = joint.limiters();
        for (limiter, key, left) in [
            (addresses, algorithm, 7),
            (names, "ada", 3),
            (all, "all", 17),
        ] {
            assert_eq!(remaining(&limiter.peek(key).await.unwrap()), [left]);
        }
        stand.assert_tidy();
        for (limiter, key) in joint.limiters().iter().zip(keys) {
            limiter.reset(key).await.unwrap();
        }
        names.reset("bob").await.unwrap();
    }
    stand.assert_empty();
}

async fn who_is_denied_by_one_has_consumed_of_none(stand: Stand) {
    for algorithm in ALGORITHMS {
        // Each of the three is the one that denies.
        for tight in 0..3 {
            let mut quotas = [9, 8, 7];
            quotas[tight] = 2;
            let joint = three(&stand, quotas, algorithm);
            let keys = [
                format!("{algorithm}{tight}"),
                "ada".to_owned(),
                "all".to_owned(),
            ];
            assert!(joint.acquire(keys.clone(), 2).await.unwrap().is_admitted());
            let left: Vec<_> = quotas.iter().map(|quota| quota - 2).collect();
            for _ in 0..5 {
                let denied = joint.acquire(keys.clone(), 1).await.unwrap();
                assert!(!denied.is_admitted(), "{algorithm} {tight}");
                assert_eq!(violated(&denied), [["address", "name", "all"][tight]]);
                assert!(denied.retry_after().is_some());
            }
            let seen = joint.peek(keys.clone()).await.unwrap();
            assert_eq!(remaining(&seen), left, "{algorithm} {tight}");
            stand.assert_tidy();
            for (limiter, key) in joint.limiters().iter().zip(&keys) {
                limiter.reset(key).await.unwrap();
            }
        }
    }
    stand.assert_empty();
}

async fn a_cost_that_one_does_not_hold_leaves_the_others_whole(stand: Stand) {
    for algorithm in ALGORITHMS {
        let joint = three(&stand, [100, 3, 100], algorithm);
        let keys = [algorithm, "ada", "all"];
        let denied = joint.acquire(keys, 4).await.unwrap();
        assert_eq!(remaining(&denied), [100, 3, 100]);
        assert_eq!(denied.retry_after(), None, "it never fits");
        assert_eq!(
            remaining(&joint.acquire(keys, 3).await.unwrap()),
            [97, 0, 97]
        );
        joint.limiters()[1].reset("ada").await.unwrap();
        joint.limiters()[2].reset("all").await.unwrap();
    }
}

async fn looking_takes_nothing_of_any(stand: Stand) {
    for algorithm in ALGORITHMS {
        let joint = three(&stand, [3, 3, 3], algorithm);
        for _ in 0..3 {
            let seen = joint.peek(["192.0.2.1", "ada", "all"]).await.unwrap();
            assert_eq!(remaining(&seen), [3, 3, 3]);
        }
    }
    stand.assert_empty();
}

async fn a_reservation_goes_back_to_each(stand: Stand) {
    for algorithm in ALGORITHMS {
        let joint = three(&stand, [10, 10, 10], algorithm);
        let keys = [algorithm, algorithm, algorithm];
        let permit = joint.reserve(keys, 6).await.unwrap();
        assert!(permit.settle(2).await.unwrap());
        assert!(!permit.settle(0).await.unwrap(), "only once");
        let seen = joint.peek(keys).await.unwrap();
        assert_eq!(remaining(&seen), [8, 8, 8], "{algorithm}");
        let permit = joint.reserve(keys, 1).await.unwrap();
        assert!(permit.settle(3).await.unwrap());
        let seen = joint.peek(keys).await.unwrap();
        assert_eq!(remaining(&seen), [5, 5, 5], "{algorithm}");
    }
    stand.assert_tidy();
}

async fn a_reset_of_one_leaves_the_others(stand: Stand) {
    let joint = three(&stand, [3, 1, 3], "gcra");
    let keys = ["192.0.2.1", "ada", "all"];
    let permit = joint.acquire(keys, 1).await.unwrap();
    assert!(!joint.acquire(keys, 1).await.unwrap().is_admitted());
    assert!(permit.reset("name").await.unwrap());
    let again = joint.acquire(keys, 1).await.unwrap();
    assert_eq!(remaining(&again), [1, 0, 1]);
}

async fn a_ban_counts_the_denials_of_its_own_limiter(stand: Stand) {
    let ban = |name| {
        let (within, lasting) = (Duration::from_secs(600), Duration::from_secs(6_000));
        BanPolicy::new(name, 2, within, lasting).unwrap()
    };
    let addresses = stand.limiter(&daily("address", 100, "gcra"));
    let names = stand.limiter(&daily("name", 1, "gcra"));
    let joint = JointRateLimiter::new([
        addresses.with_ban(ban("address-ban")).unwrap(),
        names.with_ban(ban("name-ban")).unwrap(),
    ]);
    let joint = joint.unwrap();
    let keys = ["192.0.2.1", "ada"];
    assert!(joint.acquire(keys, 1).await.unwrap().is_admitted());
    assert!(!joint.acquire(keys, 1).await.unwrap().is_banned());
    let banned = joint.acquire(keys, 1).await.unwrap();
    assert_eq!(banned.ban(), Some("name-ban"));
    for _ in 0..5 {
        assert!(joint.acquire(keys, 1).await.unwrap().is_banned());
    }
    // The address has violated nothing, and is charged for nobody else's violations.
    let seen = joint.limiters()[0].peek("192.0.2.1").await.unwrap();
    assert!(!seen.is_banned());
    assert_eq!(remaining(&seen), [99]);
    let other = joint.acquire(["192.0.2.1", "bob"], 1).await.unwrap();
    assert!(other.is_admitted());
    stand.assert_tidy();
}

fn two_slots(stand: &Stand) -> JointRateLimiter<2> {
    let slots = stand.limiter(r#""slots";q=2;w=600;alg=concurrency"#);
    JointRateLimiter::new([slots, stand.limiter(&daily("name", 3, "gcra"))]).unwrap()
}

async fn a_place_is_taken_of_all_or_of_none(stand: Stand) {
    let joint = two_slots(&stand);
    let one = joint.acquire(["upload", "ada"], 1).await.unwrap();
    assert_eq!(remaining(&one), [1, 2]);
    let two = joint.acquire(["upload", "ada"], 1).await.unwrap();
    assert!(two.is_admitted());
    // The place denies: the name is not charged.
    let denied = joint.acquire(["upload", "ada"], 1).await.unwrap();
    assert_eq!(
        (violated(&denied), remaining(&denied)),
        (vec!["slots"], vec![0, 1])
    );
    drop((one, two));
    // The name denies: the place is not taken.
    let last = free_again(&joint, "ada").await;
    let denied = joint.acquire(["upload", "ada"], 1).await.unwrap();
    assert_eq!(violated(&denied), ["name"]);
    drop(last);
    let held: Vec<Permit> = vec![
        free_again(&joint, "bob").await,
        free_again(&joint, "eve").await,
    ];
    drop(held);
    stand.assert_tidy();
}

/// A permit, once the places that were dropped are free.
async fn free_again(joint: &JointRateLimiter<2>, name: &str) -> Permit {
    for _ in 0..500 {
        let permit = joint.acquire(["upload", name], 1).await.unwrap();
        if permit.is_admitted() {
            return permit;
        }
        assert_eq!(violated(&permit), ["slots"]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a place was lost");
}

async fn many_at_once_are_admitted_exactly_as_often_as_the_tightest_says(stand: Stand) {
    for algorithm in ALGORITHMS {
        let joint = three(&stand, [50, 1_000, 1_000], algorithm);
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..200 {
            let joint = joint.clone();
            let name = format!("{algorithm}{n}");
            calls.spawn(async move {
                let keys = ["192.0.2.1", &name, "all"];
                joint.acquire(keys, 1).await.unwrap().is_admitted()
            });
        }
        let admitted = calls.join_all().await;
        let admitted = admitted.into_iter().filter(|admitted| *admitted).count() as u64;
        assert_eq!(admitted, 50, "{algorithm}");
        // Who was denied has consumed nothing.
        let all = joint.limiters()[2].peek("all").await.unwrap();
        assert_eq!(remaining(&all), [950], "{algorithm}");
        joint.limiters()[0].reset("192.0.2.1").await.unwrap();
        joint.limiters()[2].reset("all").await.unwrap();
    }
    stand.assert_tidy();
}

/// Two processes ask for the same keys in another order, with quotas that deny now the one and now
/// the other: never more than the tightest is admitted, and what they have taken of each limiter
/// in the end is what was admitted.
async fn two_processes_deny_each_other_nothing_for_good(stand: Stand) {
    for algorithm in ALGORITHMS {
        let (a, b) = (daily("a", 30, algorithm), daily("b", 30, algorithm));
        let other = stand.other_store()();
        let limiter = |item: &str| {
            let limiter = RateLimiter::new(other.clone(), super::policy(item));
            limiter.with_denial_recheck(Duration::ZERO)
        };
        let own = |item: &str| stand.limiter(item).with_denial_recheck(Duration::ZERO);
        let one = JointRateLimiter::new([own(&a), own(&b)]).unwrap();
        let two = JointRateLimiter::new([limiter(&b), limiter(&a)]).unwrap();
        // Both are connected, so that their calls meet.
        for joint in [&one, &two] {
            eventually("both are connected", async || {
                let seen = joint.peek(["x", "x"]).await.unwrap();
                !seen.is_degraded()
            })
            .await;
        }
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..120 {
            // A third of the calls is about another key of one of them, so that they deny by turns.
            let (of_a, of_b) = match n % 6 {
                0 | 1 => ("x", "another"),
                2 | 3 => ("another", "x"),
                _ => ("x", "x"),
            };
            let (one, two) = (one.clone(), two.clone());
            calls.spawn(async move {
                let permit = match n % 2 {
                    0 => one.acquire([of_a, of_b], 1).await,
                    _ => two.acquire([of_b, of_a], 1).await,
                };
                let permit = permit.unwrap();
                assert!(!permit.is_degraded());
                let admitted = u64::from(permit.is_admitted());
                (
                    admitted * u64::from(of_a == "x"),
                    admitted * u64::from(of_b == "x"),
                )
            });
        }
        let admitted = calls.join_all().await;
        let (of_a, of_b): (Vec<u64>, Vec<u64>) = admitted.into_iter().unzip();
        let (of_a, of_b) = (of_a.iter().sum::<u64>(), of_b.iter().sum::<u64>());
        assert!(of_a <= 30 && of_b <= 30, "{algorithm}: {of_a} and {of_b}");
        let [a, b] = one.limiters();
        let left = |decision: RateLimitDecision| remaining(&decision)[0];
        assert_eq!(left(a.peek("x").await.unwrap()), 30 - of_a, "{algorithm}");
        assert_eq!(left(b.peek("x").await.unwrap()), 30 - of_b, "{algorithm}");
        for key in ["x", "another"] {
            a.reset(key).await.unwrap();
            b.reset(key).await.unwrap();
        }
    }
    stand.assert_tidy();
}

/// Calls are dropped at each of their first polls. Whether they were charged or not, it is all or
/// none, and places are free again.
async fn who_leaves_before_the_answer_leaves_nothing_behind(stand: Stand) {
    let slots = stand.limiter(r#""slots";q=1000;w=600;alg=concurrency"#);
    let tight = stand.limiter(&daily("tight", 1, "gcra"));
    let wide = stand.limiter(&daily("wide", 1_000, "gcra"));
    let joint = JointRateLimiter::new([slots, tight, wide]).unwrap();
    let keys = ["upload", "ada", "all"];
    assert!(joint.acquire(keys, 1).await.unwrap().is_admitted());
    // The process's own denial must not answer for the store.
    let fresh = || {
        let [slots, tight, wide] = joint.limiters().clone();
        let tight = tight.with_denial_recheck(Duration::ZERO);
        JointRateLimiter::new([slots, tight, wide]).unwrap()
    };
    for polls in 1..6 {
        let joint = fresh();
        let mut call = Box::pin(joint.acquire(keys, 1));
        for _ in 0..polls {
            tokio::select! {
                biased;
                _ = &mut call => break,
                () = tokio::task::yield_now() => {}
            }
        }
        drop(call);
    }
    let settled = async || {
        let seen = joint.peek(keys).await.unwrap();
        remaining(&seen) == [1_000, 0, 999]
    };
    for n in 0.. {
        if settled().await {
            break;
        }
        assert!(n < 500, "{:?}", remaining(&joint.peek(keys).await.unwrap()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stand.assert_tidy();
}

async fn the_same_subject_twice_counts_once_for_each(stand: Stand) {
    let minute = stand.limiter(&daily("minute", 5, "gcra"));
    let hour = stand.limiter(&daily("hour", 3, "fixed"));
    let joint = JointRateLimiter::new([minute, hour]).unwrap();
    for left in [[4, 2], [3, 1], [2, 0]] {
        assert_eq!(
            remaining(&joint.acquire(["ada", "ada"], 1).await.unwrap()),
            left
        );
    }
    let denied = joint.acquire(["ada", "ada"], 1).await.unwrap();
    assert_eq!(
        (violated(&denied), remaining(&denied)),
        (vec!["hour"], vec![2, 0])
    );
}

async fn what_would_be_admitted_soon_enough_waits_for_all_of_them(stand: Stand) {
    let slow = stand.limiter(r#""slow";q=4;w=2"#);
    let waiting = slow.with_max_wait(Duration::from_secs(10), 10);
    let never = stand.limiter(&daily("never", 6, "fixed"));
    let joint = JointRateLimiter::new([waiting.clone(), never]).unwrap();
    let keys = ["192.0.2.1", "ada"];
    assert!(joint.acquire(keys, 4).await.unwrap().is_admitted());
    // Half a second for a unit; alone and with others.
    let began = Instant::now();
    assert!(joint.acquire(keys, 1).await.unwrap().is_admitted());
    assert!(waiting.acquire(keys[0], 1).await.unwrap().is_admitted());
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    // What has to wait for days is denied at once.
    assert!(joint.acquire(keys, 1).await.unwrap().is_admitted());
    let denied = joint.acquire(keys, 1).await.unwrap();
    assert!(violated(&denied).contains(&"never"), "{denied:?}");
    stand.assert_tidy();
}

async fn a_ban_counts_only_who_may_not_wait(stand: Stand) {
    let (within, lasting) = (Duration::from_secs(600), Duration::from_secs(6_000));
    let ban = BanPolicy::new("abuse", 2, within, lasting).unwrap();
    let names = stand.limiter(r#""name";q=5;w=1"#).with_ban(ban).unwrap();
    let names = names.with_max_wait(Duration::from_secs(20), 10);
    let addresses = stand.limiter(&daily("address", 14, "gcra"));
    let joint = JointRateLimiter::new([addresses, names]).unwrap();
    let keys = ["192.0.2.1", "ada"];
    // All but five wait, and violate nothing.
    for number in 0..14 {
        let permit = joint.acquire(keys, 1).await.unwrap();
        assert!(permit.is_admitted() && !permit.is_banned(), "{number}");
    }
    // What the address denies violates no limit of names.
    for _ in 0..3 {
        let denied = joint.acquire(keys, 1).await.unwrap();
        assert_eq!(
            (violated(&denied).contains(&"address"), denied.is_banned()),
            (true, false)
        );
    }
    // Six units are never there: such a call does not wait, and the second is banned.
    for banned in [false, true] {
        let denied = joint.acquire(["192.0.2.2", "bob"], 6).await.unwrap();
        assert_eq!((denied.is_admitted(), denied.is_banned()), (false, banned));
    }
    let left = joint.limiters()[0].peek("192.0.2.2").await.unwrap();
    assert_eq!(remaining(&left), [14]);
    stand.assert_tidy();
}

/// Of three the second has no room for its state: the others are charged nothing.
#[tokio::test]
async fn where_memory_has_no_room_for_one_the_others_are_charged_nothing() {
    const KEYS: [&str; 5] = ["ada", "wide", "bob", "eve", "upload"];
    let mut limits = MemoryLimits::default();
    limits.rate_limits = 64 * 1_024;
    let store = Store::memory_within(&limits);
    let limiter = |item: &str| {
        let limiter = RateLimiter::new(store.clone(), super::policy(item));
        limiter.on_store_error(RateLimitOnStoreError::Deny)
    };
    // More than a quarter of the memory.
    let wide = (1..300).fold(limiter(&daily("wide", 9, "gcra")), |limiter, n| {
        limiter
            .and_policy(super::policy(&daily(&format!("wide{n}"), 9, "gcra")))
            .unwrap()
    });
    let slots = limiter(r#""slots";q=2;w=600;alg=concurrency"#);
    let [gcra, fixed, sliding] = ALGORITHMS.map(|alg| limiter(&daily(alg, 9, alg)));
    let joint = JointRateLimiter::new([gcra, wide, fixed, sliding, slots]).unwrap();
    // There is something to lose.
    for at in [0, 2, 3] {
        let _ = joint.limiters()[at].acquire(KEYS[at], 4).await.unwrap();
    }
    for _ in 0..3 {
        joint.acquire(KEYS, 2).await.unwrap_err();
        let left =
            async |at: usize| remaining(&joint.limiters()[at].peek(KEYS[at]).await.unwrap())[0];
        for (at, units) in [(0, 5), (2, 5), (3, 5), (4, 2)] {
            assert_eq!(left(at).await, units, "{at}");
        }
    }
}

#[test]
fn limiters_that_cannot_be_asked_as_one_are_refused_by_name() {
    let stand = Stand::memory();
    let one = || stand.limiter(&daily("one", 1, "gcra"));
    let same = JointRateLimiter::new([one(), one()]).unwrap_err();
    assert_eq!(same, QuotaPolicyError::Duplicate("one".to_owned()));
    let elsewhere = Stand::memory().limiter(&daily("two", 1, "gcra"));
    let error = JointRateLimiter::new([one(), elsewhere]).unwrap_err();
    assert_eq!(error, QuotaPolicyError::JointStores("two".to_owned()));
    let blocks = stand.limiter(&daily("two", 1_000, "gcra"));
    let blocks = blocks.with_blocks(0.01).unwrap();
    let error = JointRateLimiter::new([one(), blocks]).unwrap_err();
    assert_eq!(error, QuotaPolicyError::JointBlocks("two".to_owned()));
}
