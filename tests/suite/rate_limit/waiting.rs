//! Requests that wait for a limit rather than being refused.

use std::time::Duration;

use tokio::time::{Instant, sleep};

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
