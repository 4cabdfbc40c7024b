//! What the limits decide over time, the same in Rust and in Lua.
//!
//! Redis counts its times to live by the real clock, so every limit here replenishes in seconds at the fastest.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::halves::algorithm::{Limit, Verdict, Wait};
use super::halves::{Halves, START, fixed, gcra};

const SECOND: u64 = 1_000_000;

fn micros(micros: u64) -> Wait {
    Wait::Micros(micros)
}

fn admitted(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.wait == Wait::None)
}

/// The table in redis-cell's `src/cell/mod.rs`: 1 a second, burst 5; times here a hundred times as long.
#[test]
fn gcra_decides_as_redis_cell_has_published() {
    const UNIT: u64 = 100_000;
    let limit = [gcra(5, 1_000 * UNIT)];
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
        let verdict = halves.acquire("a", &limit, START + at * UNIT, cost)[0];
        let expected = Verdict {
            remaining,
            reset_after: reset_after * UNIT,
            wait,
        };
        assert_eq!(verdict, expected, "case {number}");
    }
}

/// `TestAllow` and `TestAllowN_IncrementZero` of redis_rate's `rate_test.go`: 10 a second; times here a hundred times
/// as long. Where the cost is more than the burst, redis_rate tells a time, which cannot help; ours is never.
#[test]
fn gcra_decides_as_redis_rate_has_published() {
    const UNIT: u64 = 100_000;
    let limit = [gcra(10, 100 * UNIT)];
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
            let verdict = halves.acquire(subject, &limit, START, cost)[0];
            let expected = Verdict {
                remaining,
                reset_after: reset_after * UNIT,
                wait,
            };
            assert_eq!(verdict, expected, "{subject} {number}");
        }
    }
}

#[test]
fn a_retry_is_denied_one_microsecond_early_and_admitted_on_time() {
    let mut halves = Halves::new();
    for (subject, limit) in [
        ("gcra", gcra(7, 1_428_572)),
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
    let limits = [fixed(3, 10 * SECOND), gcra(10, 360 * SECOND)];
    for n in 0..5 {
        assert_eq!(admitted(&halves.acquire("a", &limits, START, 1)), n < 3);
    }
    let verdicts = halves.acquire("a", &limits, START, 1);
    assert_eq!(
        (verdicts[0].remaining, verdicts[0].wait),
        (0, micros(10 * SECOND))
    );
    assert_eq!((verdicts[1].remaining, verdicts[1].wait), (7, Wait::None));
}

#[test]
fn a_cost_that_does_not_fit_leaves_what_there_is_to_a_smaller_one() {
    let mut halves = Halves::new();
    for (subject, limit) in [
        ("gcra", gcra(5, 10 * SECOND)),
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
        ("gcra", gcra(5, 10 * SECOND), 50 * SECOND),
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

#[test]
fn a_lowered_quota_is_in_force_at_once_and_a_changed_algorithm_does_no_harm() {
    let mut halves = Halves::new();
    let cost = 60;
    assert!(admitted(&halves.acquire(
        "a",
        &[gcra(100, 10 * SECOND)],
        START,
        cost
    )));
    let lowered = halves.acquire("a", &[gcra(2, 10 * SECOND)], START, 1)[0];
    assert_eq!((lowered.remaining, lowered.wait), (0, micros(10 * SECOND)));
    for limit in [
        fixed(3, 10 * SECOND),
        gcra(5, 10 * SECOND),
        fixed(1, 30 * SECOND),
    ] {
        let verdict = halves.acquire("b", &[limit], START, 1)[0];
        let longest = limit.quota * limit.interval;
        assert!(verdict.reset_after <= longest, "{verdict:?}");
    }
}

#[test]
fn a_state_that_is_none_of_ours_counts_as_absent() {
    let halves = &mut Halves::new();
    halves.redis().command(&["SET", "{a}:0", "garbage"]);
    assert_eq!(
        halves.acquire("a", &[gcra(5, 10 * SECOND)], START, 1)[0].remaining,
        4
    );
}

#[test]
fn a_state_lives_in_redis_until_the_limit_has_replenished_and_not_much_longer() {
    let mut halves = Halves::new();
    let limits = [gcra(10, 360 * SECOND), fixed(10, 3_600 * SECOND)];
    halves.acquire("a", &limits, START, 1);
    for (key, expected) in [("{a}:0", 360_001), ("{a}:1", 3_600_001)] {
        let ttl: i64 = halves.redis().query(&["PTTL", key]);
        let ttl = ttl - super::halves::LONGER;
        assert!(ttl <= expected && ttl > expected - 60_000, "{key}: {ttl}");
    }
}

#[test]
fn the_largest_numbers_are_exact_in_both_halves() {
    let mut halves = Halves::new();
    let window = 1 << 51;
    // 2100, when dates have the same number of digits and twice the value.
    for now in [START, 4_102_444_800_000_001] {
        for (subject, limit) in [
            ("single", gcra(1, window)),
            ("many", gcra(999_999_999_999_999, 2)),
            ("odd", gcra(7, window.div_ceil(7))),
            ("fixed", fixed(999_999_999_999_999, window)),
        ] {
            let subject = format!("{subject}{now}");
            halves.acquire(&subject, &[limit], now, 1);
            halves.acquire(&subject, &[limit], now + 1, limit.quota - 1);
            halves.acquire(&subject, &[limit], now + 2, limit.quota);
            halves.acquire(&subject, &[limit], now + 3, 1);
        }
    }
}

/// Over no stretch of time is more admitted than the quota at its start and what came back during it.
#[test]
fn gcra_never_admits_more_than_its_quota_and_what_comes_back() {
    let mut halves = Halves::new();
    // 7 in 10 s: no whole number of microseconds each.
    let limit = gcra(7, 1_428_572);
    let mut admissions: Vec<u64> = Vec::new();
    for step in 0..2_000 {
        let now = START + step * 77_777;
        if admitted(&halves.acquire("a", &[limit], now, 1)) {
            admissions.push(now);
        }
    }
    for (i, first) in admissions.iter().enumerate() {
        for (count, last) in admissions[i..].iter().enumerate() {
            // count + 1 <= 7 + 7 * elapsed / 10 s, in whole numbers.
            let (count, elapsed) = (count as u64 + 1, last - first);
            assert!(
                count * 10_000_000 <= 7 * (10_000_000 + elapsed),
                "{count} within {elapsed} µs"
            );
        }
    }
    assert!(admissions.len() > 100, "it admits at the rate, too");
}

#[test]
fn both_halves_agree_on_any_sequence_of_requests() {
    let interval = prop_oneof![10 * SECOND..20 * SECOND, 10 * SECOND..1_000_000 * SECOND];
    let limit = (
        any::<bool>(),
        prop_oneof![1..10_u64, 1..100_000_u64],
        interval,
    );
    let limit = limit.prop_map(|(window, quota, interval)| match window {
        true => fixed(quota, interval),
        // No quota that can be built spans more than 2^51 µs.
        false => gcra(quota, interval.min((1 << 51) / quota)),
    });
    let limits = proptest::collection::vec(limit, 1..4);
    // Steps as parts of the first limit's interval, so that something replenishes; some go back.
    let step = (
        -1.0..2.0_f64,
        prop_oneof![3 => 0..4_u64, 1 => 0..100_000_u64],
    );
    let steps = proptest::collection::vec(step, 1..40);

    let halves = std::cell::RefCell::new((Halves::new(), 0));
    let run = |(limits, steps): (Vec<Limit>, Vec<(f64, u64)>)| {
        let (halves, count) = &mut *halves.borrow_mut();
        *count += 1;
        let (subject, mut now) = (count.to_string(), START);
        for (step, cost) in steps {
            now = now.saturating_add_signed((step * limits[0].interval as f64) as i64);
            let before = halves.acquire(&subject, &limits, now, 0);
            let after = halves.acquire(&subject, &limits, now, cost);
            let taken = if admitted(&after) { cost } else { 0 };
            for (limit, (before, after)) in limits.iter().zip(before.iter().zip(&after)) {
                prop_assert!(before.remaining <= limit.quota);
                prop_assert_eq!(before.remaining - after.remaining, taken);
                let told = limit.later(before, 0, cost);
                prop_assert_eq!(told.wait, after.wait);
            }
        }
        Ok(())
    };
    TestRunner::new(Config::with_cases(150))
        .run(&(limits, steps), run)
        .unwrap();
    halves.borrow().0.redis().assert_every_key_has_a_ttl();
}
