//! Sliding windows: no span of a window's length sees more than the quota.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::halves::algorithm::{Algorithm, Kept, Limit, PlaceId, Wait, acquire};
use super::halves::{Halves, START, admitted, fixed, gcra, sliding};

const SECOND: u64 = 1_000_000;

#[test]
fn ten_before_and_ten_after_a_boundary_admit_at_most_ten() {
    let mut halves = Halves::new();
    let limit = [sliding(10, 100 * SECOND)];
    let mut take = |at: u64, count| {
        let mut passed = 0;
        for _ in 0..count {
            passed += u32::from(admitted(&halves.acquire("a", &limit, START + at, 1)));
        }
        passed
    };
    assert_eq!(take(95 * SECOND, 10), 10);
    assert_eq!(take(105 * SECOND, 10), 0);
    assert_eq!(take(195 * SECOND - 1, 10), 0);
    assert_eq!(take(195 * SECOND, 20), 10);
}

#[test]
fn units_come_back_a_window_after_they_were_taken() {
    let mut halves = Halves::new();
    let limit = [sliding(5, 100 * SECOND)];
    for (at, cost) in [(0, 2), (30, 1), (60, 2)] {
        assert!(admitted(&halves.acquire(
            "a",
            &limit,
            START + at * SECOND,
            cost
        )));
    }
    let now = START + 70 * SECOND;
    let waits = [(1, 30), (2, 30), (3, 60), (4, 90), (5, 90)];
    for (cost, wait) in waits {
        let outcome = halves.acquire("a", &limit, now, cost)[0];
        assert_eq!(outcome.wait, Wait::Micros(wait * SECOND), "{cost}");
        assert_eq!((outcome.remaining, outcome.reset_after), (0, 90 * SECOND));
        assert_eq!(outcome.more_after, 30 * SECOND);
    }
    assert_eq!(halves.acquire("a", &limit, now, 6)[0].wait, Wait::Forever);
    let back = halves.acquire("a", &limit, START + 100 * SECOND, 0)[0];
    assert_eq!(back.remaining, 2);
}

#[test]
fn a_clock_that_steps_back_denies_no_longer_than_a_window() {
    let mut halves = Halves::new();
    let limit = [sliding(5, 100 * SECOND)];
    for at in [0, 10, 20, 30, 40] {
        let now = START + 3_600 * SECOND + at * SECOND;
        assert!(admitted(&halves.acquire("a", &limit, now, 1)));
    }
    assert!(!admitted(&halves.acquire("a", &limit, START, 1)));
    assert!(admitted(&halves.acquire(
        "a",
        &limit,
        START + 100 * SECOND,
        5
    )));
}

/// Against a log of every unit: up to 128 units nothing differs, beyond that no window ever sees more
/// than the quota and no unit is held back by more than a 128th of the window.
#[test]
fn it_decides_as_a_log_of_every_unit_does() {
    let quota = prop_oneof![1..6_u64, 1..=128_u64, 129..3_000_u64];
    let steps = proptest::collection::vec((0.0..0.2_f64, 0.0..0.7_f64), 1..60);
    let halves = RefCell::new((Halves::new(), 0));
    let run = |(quota, seconds, steps): (u64, u64, Vec<(f64, f64)>)| {
        let (halves, count) = &mut *halves.borrow_mut();
        *count += 1;
        let subject = count.to_string();
        let limit = sliding(quota, seconds * SECOND);
        let late = if quota <= 128 {
            0
        } else {
            limit.window.div_ceil(128)
        };
        let (mut now, mut log) = (START, Vec::<(u64, u64)>::new());
        for (step, part) in steps {
            now += (limit.window as f64 * step) as u64;
            let cost = ((quota as f64 * part) as u64).max(1);
            let outcome = halves.acquire(&subject, &[limit], now, cost)[0];
            let in_use = |since: u64| -> u64 {
                let in_window = log.iter().filter(|(at, _)| at + since > now);
                in_window.map(|(_, units)| units).sum()
            };
            let fits = |held| held + cost <= quota;
            if outcome.wait == Wait::None {
                prop_assert!(fits(in_use(limit.window)), "over the quota");
                log.push((now, cost));
            } else {
                prop_assert!(!fits(in_use(limit.window + late)), "denied too long");
            }
        }
        Ok(())
    };
    TestRunner::new(Config::with_cases(120))
        .run(&(quota, 20..400_u64, steps), run)
        .unwrap();
}

#[test]
fn both_halves_agree_on_sliding_windows_beside_any_other_limit() {
    let limit = (
        0..3_u8,
        prop_oneof![1..10_u64, 1..1_000_u64, 1..100_000_u64],
        20..400_u64,
    );
    let limit = limit.prop_map(|(kind, quota, seconds)| match kind {
        0 => fixed(quota, seconds * SECOND),
        1 => gcra(quota, seconds * SECOND),
        _ => sliding(quota, seconds * SECOND),
    });
    let limits = (
        1..1_000_u64,
        20..400_u64,
        proptest::collection::vec(limit, 0..3),
    );
    let step = (
        -0.3..1.0_f64,
        prop_oneof![20 => 0..4_u64, 1 => Just(u64::MAX)],
        prop_oneof![3 => Just(0.0), 1 => 0.0..0.6_f64],
        prop_oneof![9 => Just(None), 1 => (1..1_000_u64, 1..1_000_u64).prop_map(Some)],
    );
    let steps = proptest::collection::vec(step, 1..50);
    let halves = RefCell::new((Halves::new(), 0));
    type Step = (f64, u64, f64, Option<(u64, u64)>);
    let run = |((quota, seconds, others), steps): ((u64, u64, Vec<Limit>), Vec<Step>)| {
        let (halves, count) = &mut *halves.borrow_mut();
        *count += 1;
        let (subject, mut now) = (count.to_string(), START);
        let mut limits = vec![sliding(quota, seconds * SECOND)];
        limits.extend(others);
        for (step, units, part, factor) in steps {
            if let Some((times, over)) = factor {
                for limit in &mut limits {
                    let quota = (limit.quota * times / over).clamp(1, 1_000_000_000_000);
                    *limit = Limit::new(limit.algorithm, quota, limit.window);
                }
            }
            now = now.saturating_add_signed((step * limits[0].window as f64 / 4.0) as i64);
            let cost = units.saturating_add((limits[0].quota as f64 * part) as u64);
            // Both halves are compared in there.
            let outcomes = halves.acquire(&subject, &limits, now, cost);
            for (limit, outcome) in limits.iter().zip(&outcomes) {
                if let (Algorithm::SlidingWindow, Wait::Micros(wait)) =
                    (limit.algorithm, outcome.wait)
                {
                    prop_assert!((1..=limit.window).contains(&wait));
                }
            }
        }
        Ok(())
    };
    TestRunner::new(Config::with_cases(150))
        .run(&(limits, steps), run)
        .unwrap();
    halves.borrow().0.redis().assert_every_key_has_a_ttl();
}

/// A client who takes what is left whenever some is, after a window in which it came at any times.
#[test]
fn in_the_long_run_who_comes_when_told_gets_the_whole_quota() {
    let limits = [
        (900_000, 30),
        (7, 3),
        (999_983, 1),
        (129, 1),
        (1_000_000_000_000, 31_536_000),
    ];
    for (quota, seconds) in limits {
        for limit in [
            sliding(quota, seconds * SECOND),
            fixed(quota, seconds * SECOND),
        ] {
            let mut client = Client::new(limit);
            // Spread over a window, so that each group has units of its whole width.
            for n in 0..1_000 {
                client.now = START + n * limit.window / 1_000;
                client.take((quota / 1_000).max(1));
            }
            // Each burst that joins another's group comes a little later once, and no more than once.
            client.run_until(START + 550 * limit.window);
            assert!(client.lost() < 1e-5, "{limit:?}: {}", client.lost());
        }
    }
}

/// A client of one limit, on embedded memory.
struct Client {
    limit: Limit,
    now: u64,
    kept: Option<Kept>,
    /// When it has taken how much.
    history: Vec<(u64, u64)>,
}

impl Client {
    fn new(limit: Limit) -> Self {
        Self {
            limit,
            now: START,
            kept: None,
            history: Vec::new(),
        }
    }

    /// Takes a cost if it fits, and tells what is left and when there will be more.
    fn take(&mut self, cost: u64) -> (u64, u64) {
        let (level, _) = Kept::level(self.kept.as_mut(), &self.limit, self.now, cost);
        let outcome = acquire(false, &[(self.limit, level)], cost)[0];
        if cost > 0 && outcome.wait == Wait::None {
            let kept = self.kept.take();
            let charged =
                Kept::charged(kept, &self.limit, self.now, cost, outcome.level, PlaceId(1));
            self.kept = Some(charged);
            self.history.push((self.now, cost));
        }
        (outcome.remaining, outcome.more_after)
    }

    /// Takes all there is, whenever there is some.
    fn run_until(&mut self, end: u64) {
        while self.now < end {
            let (left, _) = self.take(0);
            if left > 0 {
                self.take(left);
            }
            let (_, more_after) = self.take(0);
            self.now += more_after.max(1);
        }
    }

    /// What part of 300 windows' quota it did not get in the last 300 windows.
    fn lost(&self) -> f64 {
        let window = self.limit.window;
        let last = self.history.last().map_or(0, |(at, _)| *at);
        let first = last - 300 * window;
        let in_between = self.history.iter().filter(|(at, _)| *at > first);
        let taken: u64 = in_between.map(|(_, cost)| cost).sum();
        1.0 - taken as f64 / (self.limit.quota as f64 * 300.0)
    }
}
