//! Denials come, count down and end.

use super::*;
use crate::store::operations::limit::{Algorithm, Limit};

fn subject(number: u32) -> Subject {
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&number.to_le_bytes());
    Subject::new(digest)
}

fn limits() -> Arc<[NamedLimit]> {
    let limit = Limit::new(Algorithm::Gcra, 5, 50_000_000);
    [NamedLimit::new("units", limit)].into()
}

/// 2 of 5 units are left, one comes back every 10 s, and 3 were asked for.
fn denied() -> Acquired {
    denied_with(30_000_000)
}

fn denied_with(left: u64) -> Acquired {
    let level = Level {
        left,
        ..Level::default()
    };
    Acquired {
        outcomes: [limits()[0].limit.later(level, 0, 3)].into_iter().collect(),
        banned: 0,
        marks: None,
    }
}

fn told(known: &Known) -> Option<Wait> {
    match known {
        Known::Denied { outcomes, .. } => Some(outcomes[0].wait),
        Known::Nothing | Known::Recheck(_) => None,
    }
}

/// Remembers that 3 units were denied.
fn put(
    denials: &LocalDenials,
    subject: Subject,
    limits: &Arc<[NamedLimit]>,
    acquired: &Acquired,
    sent_at: Instant,
    recheck: bool,
) {
    denials.put(Denied {
        subject,
        cost: 3,
        limits,
        acquired,
        brings_ban: false,
        sent_at,
        recheck,
    });
}

fn local_denials() -> LocalDenials {
    LocalDenials::new(Duration::from_secs(8))
}

#[tokio::test(start_paused = true)]
async fn a_denial_ends_at_the_time_it_told_counted_from_before_it_was_asked_for() {
    let (denials, limits, sent_at) = (local_denials(), limits(), Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    put(&denials, subject(1), &limits, &denied(), sent_at, false);
    tokio::time::advance(Duration::from_secs(4)).await;
    let now = Instant::now();
    let get = |number, cost, now| told(&denials.get(subject(number), cost, &limits, now));
    // The answer may be as young as its receipt.
    assert_eq!(get(1, 3, now), Some(Wait::Micros(6_000_000)));
    assert_eq!(get(1, 5, now), Some(Wait::Micros(26_000_000)));
    assert_eq!(get(2, 3, now), None);
    assert_eq!(get(1, 3, sent_at + Duration::from_secs(10)), None);
}

#[tokio::test(start_paused = true)]
async fn a_cheaper_request_ends_a_denial_and_one_for_nothing_does_not() {
    let (denials, limits, now) = (local_denials(), limits(), Instant::now());
    put(&denials, subject(1), &limits, &denied(), now, false);
    let get = |cost| told(&denials.get(subject(1), cost, &limits, now)).is_some();
    assert!(!get(0));
    assert!(get(3));
    assert!(!get(2));
    assert!(!get(3));
}

#[tokio::test(start_paused = true)]
async fn one_request_an_interval_is_to_ask_again() {
    let (denials, limits, start) = (local_denials(), limits(), Instant::now());
    put(&denials, subject(1), &limits, &denied(), start, false);
    let get = |seconds| {
        let now = start + Duration::from_secs(seconds);
        denials.get(subject(1), 3, &limits, now)
    };
    assert!(matches!(get(7), Known::Denied { .. }));
    let Known::Recheck(recheck) = get(8) else {
        panic!("it is time to ask again");
    };
    assert!(matches!(get(8), Known::Denied { .. }));
    recheck.answered();
    assert!(matches!(get(8), Known::Denied { .. }));
    assert!(matches!(get(9), Known::Denied { .. }));
    denials.end(subject(1));
    assert!(matches!(get(9), Known::Nothing));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_store_has_answered_lets_the_next_one_ask() {
    let (denials, limits, start) = (local_denials(), limits(), Instant::now());
    put(&denials, subject(1), &limits, &denied(), start, false);
    let now = start + Duration::from_secs(8);
    for _ in 0..2 {
        // Dropped.
        assert!(matches!(
            denials.get(subject(1), 3, &limits, now),
            Known::Recheck(_)
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_was_asked_for_before_another_ended_is_not_remembered() {
    let (denials, limits, sent_at) = (local_denials(), limits(), Instant::now());
    let known = || told(&denials.get(subject(1), 3, &limits, Instant::now())).is_some();
    tokio::time::advance(Duration::from_millis(1)).await;
    denials.end(subject(1));
    put(&denials, subject(1), &limits, &denied(), sent_at, false);
    assert!(!known());
    // Nor does the answer to a recheck stay.
    put(&denials, subject(1), &limits, &denied(), sent_at, true);
    assert!(!known());
    tokio::time::advance(Duration::from_millis(1)).await;
    put(
        &denials,
        subject(1),
        &limits,
        &denied(),
        Instant::now(),
        false,
    );
    assert!(known());
}

#[tokio::test(start_paused = true)]
async fn a_dearer_denial_that_says_more_replaces_a_cheaper_one() {
    let limit = Limit::new(Algorithm::SlidingWindow, 10, 3_600_000_000);
    let limits: Arc<[_]> = [NamedLimit::new("units", limit)].into();
    let denials = local_denials();
    let deny = |cost| {
        let level = Level {
            left: 3_600_000_000,
            rest: 10,
            next: 3_600_000_000,
            wait: 3_600_000_000,
        };
        denials.put(Denied {
            subject: subject(1),
            cost,
            limits: &limits,
            acquired: &Acquired {
                outcomes: [limit.later(level, 0, cost)].into_iter().collect(),
                banned: 0,
                marks: None,
            },
            brings_ban: false,
            sent_at: Instant::now(),
            recheck: false,
        });
    };
    let known = |cost| told(&denials.get(subject(1), cost, &limits, Instant::now())).is_some();
    deny(1);
    assert!(known(1) && !known(2));
    deny(2);
    assert!(known(2));
}

#[tokio::test(start_paused = true)]
async fn what_a_recheck_is_told_replaces_what_was_known() {
    let (denials, limits, start) = (local_denials(), limits(), Instant::now());
    put(&denials, subject(1), &limits, &denied(), start, false);
    let later = start + Duration::from_secs(8);
    tokio::time::advance(Duration::from_secs(8)).await;
    let shorter = denied_with(21_000_000);
    put(&denials, subject(1), &limits, &shorter, later, true);
    let known = denials.get(subject(1), 3, &limits, later);
    assert_eq!(told(&known), Some(Wait::Micros(1_000_000)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_subjects_does_not_grow_them() {
    let (denials, limits) = (local_denials(), limits());
    for number in 0..100_000 {
        put(
            &denials,
            subject(number),
            &limits,
            &denied(),
            Instant::now(),
            false,
        );
    }
    let weight = denials.cache.weight();
    assert!((CAPACITY / 2..=CAPACITY).contains(&weight), "{weight}");
    // Nor do the levels of very many policies.
    let mut many = denied();
    many.outcomes = vec![many.outcomes[0]; 1_000].into();
    let limits = vec![limits[0].clone(); 1_000].into();
    for number in 0..10_000 {
        put(
            &denials,
            subject(number),
            &limits,
            &many,
            Instant::now(),
            false,
        );
    }
    assert!(denials.cache.weight() <= CAPACITY);
}
