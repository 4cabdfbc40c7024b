//! Requests that wait for a limit rather than being refused.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use tower_keep::Store;
use tower_keep::rate_limit::{BanPolicy, Key, RateLimitLayer};

use super::stand::{Stand, on_memory_and_redis};
use super::{Limited, from, in_memory, limited, request, send};

/// The statuses of requests that come at once, with the tenths of seconds after which they are answered.
async fn at_once(service: &Limited, count: usize) -> Vec<(u16, u128)> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let service = service.clone();
        let started = Instant::now();
        tasks.push(tokio::spawn(async move {
            let status = request(&service).await.status.as_u16();
            (status, started.elapsed().as_millis() / 100)
        }));
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn what_would_be_admitted_soon_enough_waits_its_turn_and_the_rest_is_refused_at_once() {
    let layer = in_memory(r#""one";q=1;w=1"#).with_max_wait(Duration::from_millis(2_500), 100);
    let answers = at_once(&limited(&layer), 5).await;
    assert_eq!(
        answers,
        [(200, 0), (200, 10), (200, 20), (429, 0), (429, 0)]
    );
    for alg in ["fixed", "sliding"] {
        let item = format!(r#""two";q=2;w=1;alg={alg}"#);
        let layer = in_memory(&item).with_max_wait(Duration::from_millis(1_500), 100);
        let answers = at_once(&limited(&layer), 5).await;
        let admitted = answers.iter().filter(|(status, _)| *status == 200).count();
        assert_eq!(admitted, 4, "{alg}: {answers:?}");
        assert!(answers[..2].iter().all(|answer| *answer == (200, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_there_are_seats_and_who_leaves_gives_up_theirs() {
    let layer = in_memory(r#""one";q=1;w=10"#).with_max_wait(Duration::from_secs(100), 2);
    let service = limited(&layer);
    assert_eq!(request(&service).await.status, 200);
    let wait = |service: Limited| tokio::spawn(async move { request(&service).await.status });
    let (first, second) = (wait(service.clone()), wait(service.clone()));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(request(&service).await.status, 429);
    first.abort();
    let _ = first.await;
    let third = wait(service.clone());
    sleep(Duration::from_millis(10)).await;
    assert_eq!(request(&service).await.status, 429);
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(third.await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn each_client_waits_for_its_own_limit() {
    let layer = in_memory(r#""one";q=1;w=1"#).with_max_wait(Duration::from_secs(1), 10);
    let service = limited(&layer);
    let started = Instant::now();
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert_eq!(send(&service, from(client)).await.status, 200);
    }
    assert!(started.elapsed() < Duration::from_millis(100));
    assert_eq!(send(&service, from("192.0.2.1")).await.status, 200);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_there_is_can_be_asked_for() {
    let configured = serde_json::json!({
        "policies": [r#""one";q=1;w=1"#],
        "max_wait": {"seconds": 1e19, "queue": 1},
    });
    let configured = serde_json::from_value(configured).unwrap();
    for layer in [
        in_memory(r#""one";q=1;w=1"#).with_max_wait(Duration::MAX, 1),
        RateLimitLayer::from_config(Store::memory(), configured).unwrap(),
    ] {
        let service = limited(&layer);
        assert_eq!(at_once(&service, 3).await, [(200, 0), (200, 10), (429, 0)]);
        // Both seats are free again.
        assert_eq!(request(&service).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_limits_that_only_watch() {
    let layer = in_memory(r#""one";q=1;w=100"#).with_max_wait(Duration::from_secs(1_000), 10);
    let answers = at_once(&limited(&layer.clone().with_shadow(true)), 4).await;
    assert_eq!(answers, [(200, 0); 4]);
    let stand = Stand::memory();
    let patient = stand.limiter(r#""one";q=1;w=100"#);
    let patient = patient.with_max_wait(Duration::from_secs(1_000), 10);
    let both = RateLimitLayer::from_limiter(patient)
        .and_limiter(stand.limiter(r#""all";q=100;w=1"#), Key::global())
        .unwrap();
    let answers = at_once(&limited(&both.with_shadow(true)), 4).await;
    assert_eq!(answers, [(200, 0); 4]);
}

fn ban(denials: u64) -> BanPolicy {
    let (within, lasting) = (Duration::from_secs(60), Duration::from_secs(600));
    BanPolicy::new("abuse", denials, within, lasting).unwrap()
}

on_memory_and_redis!(
    a_place_is_waited_for_until_one_is_free,
    who_waits_and_is_admitted_violates_nothing,
    who_may_not_wait_violates_the_limit_and_who_is_banned_waits_no_more,
);

async fn a_place_is_waited_for_until_one_is_free(stand: Stand) {
    let limiter = stand.limiter(r#""slots";q=1;w=60;alg=concurrency"#);
    let patient = limiter.clone().with_max_wait(Duration::from_secs(30), 1);
    let held = patient.acquire("ada", 1).await.unwrap();
    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { patient.acquire("ada", 1).await.unwrap() }
    });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    // The only seat is taken.
    let denied = tokio::time::timeout(Duration::from_secs(5), patient.acquire("ada", 1));
    assert!(!denied.await.unwrap().unwrap().is_admitted());
    drop(held);
    let next = tokio::time::timeout(Duration::from_secs(10), waiting);
    let next = next.await.unwrap().unwrap();
    assert!(next.is_admitted());
    // It has the place, for which nobody waits longer than was said.
    let patient = limiter.with_max_wait(Duration::from_millis(300), 1);
    let began = Instant::now();
    assert!(!patient.acquire("ada", 1).await.unwrap().is_admitted());
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    drop(next);
}

async fn who_waits_and_is_admitted_violates_nothing(stand: Stand) {
    let limiter = stand.limiter(r#""five";q=5;w=1"#).with_ban(ban(3)).unwrap();
    let limiter = limiter.with_max_wait(Duration::from_secs(20), 100);
    for number in 0..15 {
        let permit = limiter.acquire("ada", 1).await.unwrap();
        assert!(permit.is_admitted() && !permit.is_banned(), "{number}");
    }
}

async fn who_may_not_wait_violates_the_limit_and_who_is_banned_waits_no_more(stand: Stand) {
    let limiter = stand
        .limiter(r#""one";q=1;w=1000"#)
        .with_ban(ban(3))
        .unwrap();
    let patient = limiter.clone().with_max_wait(Duration::from_secs(1), 100);
    assert!(patient.acquire("ada", 1).await.unwrap().is_admitted());
    for banned in [false, false, true, true] {
        let permit = patient.acquire("ada", 1).await.unwrap();
        assert!(!permit.is_admitted());
        assert_eq!(permit.is_banned(), banned);
    }
    // Those who could wait for the limit, but are banned.
    let patient = limiter.with_max_wait(Duration::from_secs(2_000), 100);
    let banned = tokio::time::timeout(Duration::from_secs(5), patient.acquire("ada", 1));
    assert!(banned.await.unwrap().unwrap().is_banned());
}
