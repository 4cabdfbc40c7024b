//! What the limits decide over time, the same in Rust and in Lua.
//!
//! Redis counts its times to live by the real clock, so every limit here replenishes in seconds at the fastest.

use proptest::prelude::*;

use super::halves::algorithm::{Limit, Outcome, Wait};
use super::halves::{Halves, START, admitted, fixed, gcra};
use crate::harness::differential::random_cases;

const SECOND: u64 = 1_000_000;

fn micros(micros: u64) -> Wait {
    Wait::Micros(micros)
}

/// What a published table has of an outcome.
fn told(outcome: &Outcome) -> (u64, u64, Wait) {
    (outcome.remaining, outcome.reset_after, outcome.wait)
}

/// The table in redis-cell's `src/cell/mod.rs`: 1 a second, burst 5; times here a hundred times as long.
#[test]
fn gcra_decides_as_redis_cell_has_published() {
    const UNIT: u64 = 100_000;
    let limit = [gcra(5, 5_000 * UNIT)];
    // (milliseconds, cost, remaining, reset after, wait)
    let table = [
        (0, 6, 5, 0, Wait::Forever),
        (0, 1, 4, 1_000, Wait::None),
        (0, 1, 3, 2_000, Wait::None),
        (0, 1, 2, 3_000, Wait::None),
        (0, 1, 1, 4_000, Wait::None),
        (0, 1, 0, 5_000, Wait::None),
        (0, 1, 0, 5_000, micros(1_000 * UNIT)),
        (3_000, 1, 2, 3_000, Wait::None),
        (3_100, 1, 1, 3_900, Wait::None),
        (4_000, 1, 1, 4_000, Wait::None),
        (8_000, 1, 4, 1_000, Wait::None),
        (9_500, 1, 4, 1_000, Wait::None),
        (9_500, 0, 4, 1_000, Wait::None),
        (9_500, 2, 2, 3_000, Wait::None),
        (9_500, 5, 2, 3_000, micros(3_000 * UNIT)),
    ];
    let mut halves = Halves::new();
    for (number, (at, cost, remaining, reset_after, wait)) in table.into_iter().enumerate() {
        let outcome = halves.acquire("a", &limit, START + at * UNIT, cost)[0];
        let expected = (remaining, reset_after * UNIT, wait);
        assert_eq!(told(&outcome), expected, "case {number}");
    }
}

/// `TestAllow` and `TestAllowN_IncrementZero` of redis_rate's `rate_test.go`: 10 a second; times here a hundred times
/// as long. Where the cost is more than the burst, redis_rate tells a time, which cannot help; ours is never.
#[test]
fn gcra_decides_as_redis_rate_has_published() {
    const UNIT: u64 = 100_000;
    let limit = [gcra(10, 1_000 * UNIT)];
    let mut halves = Halves::new();
    let tables: [&[(u64, u64, u64, Wait)]; 2] = [
        &[
            (1, 9, 100, Wait::None),
            (2, 7, 300, Wait::None),
            (7, 0, 1_000, Wait::None),
            (1_000, 0, 1_000, Wait::Forever),
            (1, 0, 1_000, micros(100 * UNIT)),
        ],
        &[
            (0, 10, 0, Wait::None),
            (1, 9, 100, Wait::None),
            (0, 9, 100, Wait::None),
        ],
    ];
    for (subject, table) in ["allow", "zero"].into_iter().zip(tables) {
        for (number, &(cost, remaining, reset_after, wait)) in table.iter().enumerate() {
            let outcome = halves.acquire(subject, &limit, START, cost)[0];
            let expected = (remaining, reset_after * UNIT, wait);
            assert_eq!(told(&outcome), expected, "{subject} {number}");
        }
    }
}

#[test]
fn a_retry_is_denied_one_microsecond_early_and_admitted_on_time() {
    let mut halves = Halves::new();
    for (subject, limit) in [
        ("gcra", gcra(7, 10 * SECOND)),
        ("fixed", fixed(7, 10 * SECOND)),
    ] {
        for _ in 0..7 {
            assert!(admitted(&halves.acquire(subject, &[limit], START, 1)));
        }
        let Wait::Micros(wait) = halves.acquire(subject, &[limit], START, 1)[0].wait else {
            panic!("{subject} admits an eighth");
        };
        let early = halves.acquire(subject, &[limit], START + wait - 1, 1);
        assert_eq!(early[0].wait, micros(1), "{subject}");
        assert!(
            admitted(&halves.acquire(subject, &[limit], START + wait, 1)),
            "{subject}"
        );
    }
}

#[test]
fn denied_requests_do_not_move_the_time_of_the_next_allowed_one() {
    let mut halves = Halves::new();
    let limit = [gcra(1, 100 * SECOND)];
    assert!(admitted(&halves.acquire("a", &limit, START, 1)));
    for step in 1..=100 {
        let now = START + step * SECOND / 2;
        assert_eq!(
            halves.acquire("a", &limit, now, 1)[0].wait,
            micros(START + 100 * SECOND - now)
        );
    }
    assert!(admitted(&halves.acquire(
        "a",
        &limit,
        START + 100 * SECOND,
        1
    )));
}

#[test]
fn a_request_that_one_limit_denies_consumes_of_none() {
    let mut halves = Halves::new();
    let limits = [fixed(3, 10 * SECOND), gcra(10, 3_600 * SECOND)];
    for n in 0..5 {
        assert_eq!(admitted(&halves.acquire("a", &limits, START, 1)), n < 3);
    }
    let outcomes = halves.acquire("a", &limits, START, 1);
    assert_eq!(
        (outcomes[0].remaining, outcomes[0].wait),
        (0, micros(10 * SECOND))
    );
    assert_eq!((outcomes[1].remaining, outcomes[1].wait), (7, Wait::None));
}

#[test]
fn a_cost_that_does_not_fit_leaves_what_there_is_to_a_smaller_one() {
    let mut halves = Halves::new();
    for (subject, limit) in [
        ("gcra", gcra(5, 50 * SECOND)),
        ("fixed", fixed(5, 50 * SECOND)),
    ] {
        assert_eq!(halves.acquire(subject, &[limit], START, 3)[0].remaining, 2);
        let denied = halves.acquire(subject, &[limit], START, 3)[0];
        assert!(
            denied.remaining == 2 && denied.wait != Wait::None,
            "{subject}"
        );
        assert_eq!(halves.acquire(subject, &[limit], START, 2)[0].remaining, 0);
        let never = halves.acquire(subject, &[limit], START, u64::MAX)[0];
        assert_eq!(never.wait, Wait::Forever, "{subject}");
    }
}

#[test]
fn a_window_starts_with_its_first_request_and_ends_for_all_at_once() {
    let mut halves = Halves::new();
    let limit = [fixed(2, 10 * SECOND)];
    let at = |offset| START + offset;
    assert_eq!(halves.acquire("a", &limit, at(0), 0)[0].reset_after, 0);
    assert_eq!(
        halves.acquire("a", &limit, at(3 * SECOND), 1)[0].reset_after,
        10 * SECOND
    );
    assert_eq!(
        halves.acquire("a", &limit, at(12 * SECOND), 1)[0].reset_after,
        SECOND
    );
    assert_eq!(
        halves.acquire("a", &limit, at(13 * SECOND - 1), 1)[0].wait,
        micros(1)
    );
    let next = halves.acquire("a", &limit, at(13 * SECOND), 1)[0];
    assert_eq!((next.remaining, next.reset_after), (1, 10 * SECOND));
}

#[test]
fn a_clock_that_steps_back_denies_no_longer_than_the_burst_tolerance() {
    let hour = 3_600 * SECOND;
    let mut halves = Halves::new();
    for (subject, limit, tolerance) in [
        ("gcra", gcra(5, 50 * SECOND), 50 * SECOND),
        ("fixed", fixed(5, 50 * SECOND), 50 * SECOND),
    ] {
        for _ in 0..5 {
            assert!(admitted(&halves.acquire(subject, &[limit], START, 1)));
        }
        // Each question while it waits would see the state an hour ahead, were it not cut.
        let back = START - hour;
        let mut now = back;
        while !admitted(&halves.acquire(subject, &[limit], now, 5)) {
            now += SECOND;
            assert!(
                now <= back + tolerance,
                "{subject} denies after {} µs",
                now - back
            );
        }
        assert_eq!(now, back + tolerance, "{subject} forgets what was consumed");
    }
}

/// Line by line: the quota before, the units used, the quota after, what is left of it.
#[test]
fn a_changed_quota_keeps_the_fraction_that_is_used() {
    let cases = [
        (100, 50, 10, 5),
        (10, 5, 100, 50),
        (7, 7, 3, 0),
        (3, 3, 7, 0),
        (7, 0, 3, 3),
        (10, 7, 100, 30),
        (100, 7, 10, 9),
        // Whole units are left of what is not a whole unit used.
        (100, 1, 10, 9),
        (900_000, 300_000, 3, 2),
        (1_000_000_000_000, 250_000_000_000, 4, 3),
        (4, 1, 1_000_000_000_000, 750_000_000_000),
    ];
    let mut halves = Halves::new();
    for (number, (before, used, after, left)) in cases.into_iter().enumerate() {
        for (name, limit) in [("gcra", gcra as fn(u64, u64) -> Limit), ("fixed", fixed)] {
            // A microsecond of GCRA is more than a unit where there are more units than that.
            let window = 31_536_000 * SECOND;
            let subject = format!("{name}{number}");
            halves.acquire(&subject, &[limit(before, window)], START, used);
            let now = halves.acquire(&subject, &[limit(after, window)], START, 0)[0];
            assert_eq!(now.remaining, left, "{subject}");
            assert!(now.reset_after <= window);
            if left > 0 {
                assert!(admitted(&halves.acquire(
                    &subject,
                    &[limit(after, window)],
                    START,
                    left
                )));
            }
            let full = halves.acquire(&subject, &[limit(after, window)], START, 1)[0];
            assert_ne!(full.wait, Wait::None, "{subject}");
        }
    }
}

#[test]
fn two_quotas_that_take_turns_admit_no_more_than_one_window_together() {
    // Units that are no whole microseconds, in parts that do not go into each other.
    let mut halves = Halves::new();
    let quotas = [gcra(3_000_001, SECOND), gcra(7_000_003, SECOND)];
    let mut used = 0.0;
    for turn in 0..5_000 {
        let limit = quotas[turn % 2];
        if admitted(&halves.acquire("a", &[limit], START, 1_000)) {
            used += 1_000.0 / limit.quota as f64;
        }
    }
    assert!((0.99..=1.0).contains(&used), "{used}");
}

#[test]
fn a_value_that_is_none_of_ours_counts_as_absent() {
    let halves = &mut Halves::new();
    for (number, limit) in [
        gcra(5, 10 * SECOND),
        gcra(7, 10 * SECOND),
        fixed(5, 10 * SECOND),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{{{number}}}:0");
        halves.redis().command(&["SET", &name, "garbage"]);
        let subject = number.to_string();
        let outcome = halves.acquire(&subject, &[limit], START, 1)[0];
        assert_eq!(outcome.remaining, limit.quota - 1);
        halves.redis().assert_every_key_has_a_ttl();
    }
}

#[test]
fn a_state_lives_in_redis_until_the_limit_has_replenished_and_not_much_longer() {
    let mut halves = Halves::new();
    let limits = [
        gcra(10, 3_600 * SECOND),
        gcra(7, 3_600 * SECOND),
        fixed(10, 3_600 * SECOND),
    ];
    halves.acquire("a", &limits, START, 1);
    halves.acquire("b", &limits[..1], START, 1);
    // Under GCRA an eighth of the window longer, so that not every request has to renew it.
    let (eighth, slack) = (450_000, 60_000);
    for (key, least, most) in [
        ("{a}:0", 360_000, 360_000 + eighth),
        ("{b}:0:one", 360_000, 360_000 + eighth),
        ("{a}:1", 514_285, 514_286 + eighth),
        ("{a}:2", 3_600_000, 3_600_000),
    ] {
        let ttl: i64 = halves.redis().query(&["PTTL", key]);
        let ttl = ttl - super::halves::LONGER;
        assert!(ttl > least - slack && ttl <= most + 2, "{key}: {ttl}");
    }
}

#[test]
fn the_largest_numbers_are_exact_in_both_halves() {
    let mut halves = Halves::new();
    let year = 366 * 86_400 * SECOND;
    // 2100, when dates have the same number of digits and twice the value.
    for now in [START, 4_102_444_800_000_001] {
        for (subject, limit) in [
            ("single", gcra(1, year)),
            ("many", gcra(1_000_000_000_000, SECOND)),
            ("both", gcra(999_999_999_989, year)),
            ("odd", gcra(7, year)),
            ("fixed", fixed(1_000_000_000_000, year)),
        ] {
            let subject = format!("{subject}{now}");
            halves.acquire(&subject, &[limit], now, 1);
            halves.acquire(&subject, &[limit], now + 1, limit.quota - 1);
            halves.acquire(&subject, &[limit], now + 2, limit.quota);
            halves.acquire(&subject, &[limit], now + 3, u64::MAX);
            halves.acquire(&subject, &[limit], now + 4, 1);
        }
    }
}

/// Any quota and window: in every stretch of time at most the quota and what comes back in it, and
/// in the long run 99.999 % of that and more. In whole numbers, without any of the code's own.
#[test]
fn gcra_admits_never_more_than_its_quota_and_in_the_long_run_no_less() {
    let quota = prop_oneof![
        1..20_u64,
        1..2_000_000_u64,
        1..=1_000_000_000_000_u64,
        Just(999_983_u64),
        Just(900_000_u64),
        999_999_999_000..=1_000_000_000_000_u64,
    ];
    let window = prop_oneof![1..100_u64, 1..=31_622_400_u64, 31_000_000..=31_622_400_u64];
    // Parts of the window between two requests, and of what is left that each takes.
    let steps = proptest::collection::vec((0.0..0.4_f64, 0.0..=1.0_f64), 200);
    let run = |(quota, window, steps): (u64, u64, Vec<(f64, f64)>)| {
        let window = window * SECOND;
        let limit = gcra(quota, window);
        let (mut now, mut stored, mut admissions) = (START, None, Vec::new());
        for (step, part) in steps {
            now += (window as f64 * step) as u64;
            let (level, _) = limit.level(stored, now);
            let left = limit.later(level, 0, 0).remaining;
            let cost = ((left as f64 * part) as u64).clamp(1, quota);
            let outcome = super::halves::algorithm::acquire(false, &[(limit, level)], cost)[0];
            prop_assert_eq!(outcome.wait == Wait::None, cost <= left);
            if outcome.wait == Wait::None {
                stored = Some(limit.state(outcome.level, stored, now));
                admissions.push((now, cost));
            }
        }
        for (i, (first, _)) in admissions.iter().enumerate() {
            let mut sum = 0_u128;
            for (last, cost) in &admissions[i..] {
                sum += u128::from(*cost);
                let elapsed = u128::from(last - first);
                prop_assert!(
                    sum * u128::from(window) <= u128::from(quota) * (u128::from(window) + elapsed)
                );
            }
        }
        Ok(())
    };
    random_cases(300, (quota.clone(), window.clone(), steps), run);

    // A client that always asks for all there is.
    let greedy = |(quota, window): (u64, u64)| {
        let window = window * SECOND;
        let limit = gcra(quota, window);
        let (mut stored, mut sum) = (None, 0_u128);
        let (steps, step) = (3_000_u64, window / 7 + 1);
        for n in 0..=steps {
            let now = START + n * step;
            let (level, _) = limit.level(stored, now);
            let cost = limit.later(level, 0, 0).remaining;
            if cost > 0 {
                let outcome = super::halves::algorithm::acquire(false, &[(limit, level)], cost)[0];
                prop_assert_eq!(outcome.wait, Wait::None);
                stored = Some(limit.state(outcome.level, stored, now));
                sum += u128::from(cost);
            }
        }
        let due = u128::from(quota) * u128::from(steps * step) / u128::from(window);
        prop_assert!(sum >= due, "{sum} of {due}");
        prop_assert!(sum <= due + u128::from(quota) + 1);
        Ok(())
    };
    random_cases(300, (quota, window), greedy);
}

#[test]
fn both_halves_agree_on_any_sequence_of_requests() {
    let limit = (
        any::<bool>(),
        prop_oneof![1..10_u64, 1..100_000_u64, 1..=1_000_000_000_000_u64],
        prop_oneof![10..200_u64, 10..=31_622_400_u64],
    );
    let limit = limit.prop_map(|(window, quota, seconds)| match window {
        true => fixed(quota, seconds * SECOND),
        false => gcra(quota, seconds * SECOND),
    });
    let limits = proptest::collection::vec(limit, 1..4);
    // Steps as parts of the first limit's window or unit, so that something replenishes; some go
    // back. Costs as units or as parts of the quota. Now and then the quotas change.
    let step = (
        -1.0..2.0_f64,
        prop_oneof![Just(1.0), 0.0..1.0_f64],
        prop_oneof![12 => 0..4_u64, 4 => 0..100_000_u64, 1 => Just(u64::MAX)],
        prop_oneof![3 => Just(0.0), 1 => 0.0..0.6_f64],
        prop_oneof![9 => Just(None), 1 => (1..1_000_u64, 1..1_000_u64).prop_map(Some)],
    );
    let steps = proptest::collection::vec(step, 1..40);

    let halves = std::cell::RefCell::new((Halves::new(), 0));
    type Step = (f64, f64, u64, f64, Option<(u64, u64)>);
    let run = |(mut limits, steps): (Vec<Limit>, Vec<Step>)| {
        let (halves, count) = &mut *halves.borrow_mut();
        *count += 1;
        let (subject, mut now) = (count.to_string(), START);
        for (step, share, units, part, factor) in steps {
            if let Some((times, over)) = factor {
                for limit in &mut limits {
                    let quota = (limit.quota * times / over).clamp(1, 1_000_000_000_000);
                    *limit = Limit::new(limit.algorithm, quota, limit.window);
                }
            }
            let unit = limits[0].window as f64 / limits[0].quota as f64;
            let scale = limits[0].window as f64 * share + unit * (1.0 - share);
            now = now.saturating_add_signed((step * scale) as i64);
            let cost = units.saturating_add((limits[0].quota as f64 * part) as u64);
            let before = halves.acquire(&subject, &limits, now, 0);
            let after = halves.acquire(&subject, &limits, now, cost);
            let taken = if admitted(&after) { cost } else { 0 };
            for (limit, (before, after)) in limits.iter().zip(before.iter().zip(&after)) {
                prop_assert!(before.remaining <= limit.quota);
                prop_assert_eq!(before.remaining - after.remaining, taken);
                let told = limit.later(before.level, 0, cost);
                prop_assert_eq!(told.wait, after.wait);
                if let Wait::Micros(micros) = after.wait {
                    prop_assert_eq!(limit.later(before.level, micros, cost).wait, Wait::None);
                    let early = limit.later(before.level, micros - 1, cost).wait;
                    prop_assert_eq!(early, Wait::Micros(1));
                }
            }
        }
        Ok(())
    };
    random_cases(150, (limits, steps), run);
    halves.borrow().0.redis().assert_every_key_has_a_ttl();
}
