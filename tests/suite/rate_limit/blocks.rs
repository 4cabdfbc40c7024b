//! Blocks of units that processes take ahead: never is more admitted than the quota says.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tower_keep::rate_limit::{Quota, QuotaPolicyError, RateLimiter};

use super::halves::algorithm::{self, Limit, State, Wait};
use super::halves::{Halves, START, gcra};
use super::{policy, store};
use crate::harness::redis::RedisServer;

const SECOND: u64 = 1_000_000;

#[test]
fn both_halves_agree_on_blocks() {
    let limit = (
        prop_oneof![20..100_u64, 20..100_000_u64, 1..=1_000_000_000_000_u64],
        20..10_000_u64,
    );
    let limits = proptest::collection::vec(limit, 1..4);
    let step = (
        -0.5..1.0_f64,
        0..4_u64,
        prop_oneof![3 => Just(0.0), 1 => 0.0..0.4_f64],
        prop_oneof![Just(0), 1..20_u64],
    );
    let steps = proptest::collection::vec(step, 1..40);
    let halves = RefCell::new((Halves::new(), 0, 0));
    type Step = (f64, u64, f64, u64);
    let run = |(limits, steps): (Vec<(u64, u64)>, Vec<Step>)| {
        let (halves, count, given) = &mut *halves.borrow_mut();
        *count += 1;
        let limits: Vec<_> = (limits.iter())
            .map(|(quota, seconds)| gcra(*quota, seconds * SECOND).sparing(quota / 50))
            .collect();
        let mut now = START;
        for (step, units, part, block) in steps {
            now = now.saturating_add_signed((step * limits[0].window as f64 / 4.0) as i64);
            let cost = units + (limits[0].quota as f64 * part) as u64;
            // The halves are compared in there.
            let (outcomes, has_block) =
                halves.acquire_block(&count.to_string(), &limits, now, cost, block);
            prop_assert!(!has_block || outcomes.iter().all(|o| o.wait == Wait::None));
            *given += u32::from(has_block);
        }
        Ok(())
    };
    TestRunner::new(Config::with_cases(150))
        .run(&(limits, steps), run)
        .unwrap();
    let halves = halves.borrow();
    assert!(halves.2 > 20, "{} blocks", halves.2);
    halves.0.redis().assert_every_key_has_a_ttl();
}

/// A process that takes blocks, as the crate's do.
#[derive(Default, Clone)]
struct Process {
    until: u64,
    units: u64,
}

/// What happens at a moment: a request of a process is sent, or answered by the store.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Request {
        process: usize,
        cost: u64,
    },
    AtStore {
        process: usize,
        cost: u64,
        sent: u64,
        back: u64,
    },
    Answered {
        process: usize,
        cost: u64,
        sent: u64,
        block: Option<u64>,
    },
}

/// Any interleaving of processes with any latency: what they admit, at the moments at which they do, obeys GCRA
/// with the whole quota, and what blocks cost is bounded.
#[test]
fn no_window_ever_sees_more_than_its_quota_whatever_processes_do() {
    let request = (
        0..4_usize,
        0..40_000_u64,
        prop_oneof![9 => Just(1), 1 => 2..30_u64],
    );
    let latencies = proptest::collection::vec(0..3_000_u64, 64);
    let requests = proptest::collection::vec(request, 400);
    let totals = RefCell::new((0_u64, 0_u64));
    type Request = (usize, u64, u64);
    type Case = (u64, Vec<u64>, Vec<Request>, u64);
    let run = |(quota, latencies, requests, pace): Case| {
        let (window, share) = (10 * SECOND, 0.05);
        let spare = (quota as f64 * share).ceil() as u64;
        let largest = (quota as f64 * share).floor() as u64;
        let lifetime = (window as f64 * share) as u64;
        let limit = gcra(quota, window).sparing(spare);
        let mut processes = vec![Process::default(); 4];
        let mut stored: Option<State> = None;
        let mut events = BinaryHeap::new();
        let (mut now, mut order) = (START, 0_u64);
        let mut push = |events: &mut BinaryHeap<_>, at: u64, event| {
            order += 1;
            events.push(Reverse((at, order, event)));
        };
        for (process, step, cost) in requests {
            now += step / pace;
            push(&mut events, now, Event::Request { process, cost });
        }
        let mut latencies = latencies.into_iter().cycle();
        let (mut admissions, mut local) = (Vec::new(), 0);
        while let Some(Reverse((now, _, event))) = events.pop() {
            match event {
                Event::Request { process, cost } => {
                    let held = &mut processes[process];
                    if now < held.until && held.units >= cost {
                        held.units -= cost;
                        admissions.push((now, cost));
                        local += 1;
                        continue;
                    }
                    let (there, back) = (latencies.next().unwrap(), latencies.next().unwrap());
                    let event = Event::AtStore {
                        process,
                        cost,
                        sent: now,
                        back,
                    };
                    push(&mut events, now + there, event);
                }
                Event::AtStore {
                    process,
                    cost,
                    sent,
                    back,
                } => {
                    let (level, _) = limit.level(stored, now);
                    let has_block = limit.spares_block(level, cost, largest);
                    let taken = if has_block { cost + largest } else { cost };
                    let outcome = algorithm::acquire(false, &[(limit, level)], taken)[0];
                    if outcome.wait == Wait::None {
                        stored = Some(limit.state(outcome.level, stored, now));
                        let block = has_block.then_some(largest);
                        let event = Event::Answered {
                            process,
                            cost,
                            sent,
                            block,
                        };
                        push(&mut events, now + back, event);
                    }
                }
                Event::Answered {
                    process,
                    cost,
                    sent,
                    block,
                } => {
                    // It is let through as it is answered, which is never too late for its charge.
                    admissions.push((now, cost));
                    if let Some(units) = block {
                        processes[process] = Process {
                            until: sent + lifetime,
                            units,
                        };
                    }
                }
            }
        }
        let exact = Limit::new(algorithm::Algorithm::Gcra, quota, window);
        for (i, (first, _)) in admissions.iter().enumerate() {
            let mut sum = 0_u128;
            for (last, cost) in &admissions[i..] {
                sum += u128::from(*cost);
                let span = u128::from(last.saturating_sub(*first) + window);
                let most = u128::from(exact.quota) * span;
                prop_assert!(sum * u128::from(window) <= most, "{sum} in {span} µs");
            }
        }
        let mut totals = totals.borrow_mut();
        totals.0 += local;
        totals.1 += admissions.len() as u64;
        Ok(())
    };
    TestRunner::new(Config::with_cases(300))
        .run(
            &(
                20..400_u64,
                latencies,
                requests,
                prop_oneof![Just(1), Just(4), Just(20)],
            ),
            run,
        )
        .unwrap();
    let (local, all) = totals.into_inner();
    assert!(local * 5 > all, "{local} of {all} without the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_key_asks_the_store_less_than_once_in_ten_calls() {
    let redis = RedisServer::start();
    let item = r#""busy";q=1000000;w=1000"#;
    let limiter = RateLimiter::new(store(&redis), policy(item));
    let limiter = limiter.with_blocks(0.01).unwrap();
    for _ in 0..20 {
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    }
    redis.reset_stats();
    for _ in 0..2_000 {
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    }
    let asked = redis.command_calls().get("evalsha").copied().unwrap_or(0);
    assert!(asked < 200, "{asked} of 2000");
    redis.assert_every_key_has_a_ttl();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_blocks_admit_the_quota_and_never_more() {
    let redis = RedisServer::start();
    let process = || {
        let limiter = RateLimiter::new(store(&redis), policy(r#""hourly";q=1000;w=864000"#));
        limiter.with_blocks(0.01).unwrap()
    };
    let processes = [process(), process()];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        let limiter = processes[number % 2].clone();
        tasks.spawn(async move { limiter.acquire("ada", 1).await.unwrap().is_admitted() });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|it| *it).count();
    // Kept back are 10, and each process may have a block of 10 that it has not spent.
    assert!((970..=990).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_reset_takes_the_block_too() {
    let redis = RedisServer::start();
    let limiter = RateLimiter::new(store(&redis), policy(r#""hourly";q=1000;w=864000"#));
    let limiter = limiter.with_blocks(0.01).unwrap();
    for _ in 0..100 {
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    }
    limiter.reset("ada").await.unwrap();
    let first = limiter.acquire("ada", 1).await.unwrap();
    assert_eq!(first.tightest().unwrap().remaining(), 989);
}

#[tokio::test]
async fn blocks_are_spent_of_a_quota_that_the_request_says() {
    let redis = RedisServer::start();
    let limiter = RateLimiter::new(store(&redis), policy(r#""busy";q=1000;w=1000"#));
    let limiter = limiter.with_blocks(0.01).unwrap();
    let plan = Quota::new(1_000_000, std::time::Duration::from_secs(1_000)).unwrap();
    let call = async || {
        let limiter = limiter.with_quotas(|_| Some(plan));
        assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    };
    for _ in 0..20 {
        call().await;
    }
    redis.reset_stats();
    for _ in 0..1_000 {
        call().await;
    }
    let asked = redis.command_calls().get("evalsha").copied().unwrap_or(0);
    assert!(asked < 100, "{asked} of 1000");
}

#[tokio::test]
async fn what_is_left_of_a_block_when_its_time_is_over_is_not_spent() {
    let redis = RedisServer::start();
    let limiter = RateLimiter::new(store(&redis), policy(r#""busy";q=1000;w=10000"#));
    let limiter = limiter.with_blocks(0.1).unwrap();
    let asks = async |key: &str| {
        redis.reset_stats();
        assert!(limiter.acquire(key, 1).await.unwrap().is_admitted());
        redis.command_calls().contains_key("evalsha")
    };
    // After so many calls there is something left.
    let mut calls = 0;
    while asks("ada").await || asks("ada").await {
        calls += 2;
        assert!(calls < 100, "no block is given");
    }
    for key in ["bob", "eve"] {
        for _ in 0..=calls {
            asks(key).await;
        }
        if key == "eve" {
            // A tenth of the window.
            tokio::time::pause();
            tokio::time::advance(std::time::Duration::from_secs(1_000)).await;
            tokio::time::resume();
        }
        assert_eq!(asks(key).await, key == "eve");
    }
}

#[tokio::test]
async fn what_is_reserved_is_taken_of_no_block() {
    let redis = RedisServer::start();
    let limiter = RateLimiter::new(store(&redis), policy(r#""hourly";q=1000;w=864000"#));
    let limiter = limiter.with_blocks(0.01).unwrap();
    for _ in 0..20 {
        let permit = limiter.reserve("ada", 10).await.unwrap();
        assert!(permit.is_admitted());
        assert!(permit.settle(0).await.unwrap(), "nothing was reserved");
    }
    let seen = limiter.peek("ada").await.unwrap();
    assert_eq!(seen.tightest().unwrap().remaining(), 990);
}

#[test]
fn what_blocks_do_not_go_with_is_refused() {
    let limiter = |item: &str| RateLimiter::new(tower_keep::Store::memory(), policy(item));
    for share in [0.0, -1.0, 0.2, f64::NAN] {
        let error = limiter(r#""a";q=1;w=1"#).with_blocks(share).unwrap_err();
        assert!(matches!(error, QuotaPolicyError::BlockShare(_)), "{error}");
    }
    for alg in ["fixed", "sliding", "concurrency"] {
        let item = format!(r#""b";q=1;w=1;alg={alg}"#);
        let error = limiter(&item).with_blocks(0.01).unwrap_err();
        assert_eq!(error, QuotaPolicyError::NoBlocks("b".to_owned()));
        let gcra = limiter(r#""a";q=1;w=1"#).with_blocks(0.01).unwrap();
        assert!(gcra.and_policy(policy(&item)).is_err());
    }
    let second = std::time::Duration::from_secs(1);
    let ban = || tower_keep::rate_limit::BanPolicy::new("abuse", 2, second, second).unwrap();
    let error = QuotaPolicyError::BannedBlocks("abuse".to_owned());
    let banning = limiter(r#""a";q=1;w=1"#).with_ban(ban()).unwrap();
    assert_eq!(banning.with_blocks(0.01).unwrap_err(), error);
    let ahead = limiter(r#""a";q=1;w=1"#).with_blocks(0.01).unwrap();
    assert_eq!(ahead.with_ban(ban()).unwrap_err(), error);
}
