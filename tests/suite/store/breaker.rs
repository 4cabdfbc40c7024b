//! When the circuit breaker opens, and that it stays closed for what is slow and not dead.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_keep::{Store, StoreError, store::StoreState};

use super::{HOUR, answers_again, store, users};
use crate::harness::{eventually, log::Log, proxy::Proxy, redis::RedisServer};

fn openings(log: &Log) -> usize {
    log.text().matches("circuit breaker open:").count()
}

/// Calls `store` from a few tasks for six seconds: the calls after the first second, and how
/// many of them waited out the deadline.
async fn under_load(store: &Store) -> (usize, usize) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let (mut all, mut late) = (0, 0);
            while start.elapsed() < Duration::from_secs(6) {
                let settled = start.elapsed() > Duration::from_secs(1);
                let result = store.ping().await;
                if settled {
                    all += 1;
                    late += usize::from(matches!(result, Err(StoreError::DeadlineExceeded(_))));
                }
                sleep(Duration::from_millis(10)).await;
            }
            (all, late)
        });
    }
    let counts = tasks.join_all().await;
    counts
        .into_iter()
        .fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
}

const HASTY: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_server_whose_answers_all_come_late_opens_it_a_few_times_and_not_again_and_again() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&format!("redis://{}", proxy.addr()), HASTY);
    answers_again(&store).await;
    let (log, _guard) = Log::start();
    proxy.delay(Duration::from_millis(30), Duration::from_millis(30));
    let (all, late) = under_load(&store).await;
    assert!((1..=4).contains(&openings(&log)), "{}", log.text());
    assert!(late * 50 <= all, "{late} of {all}");
    proxy.delay(Duration::ZERO, Duration::ZERO);
    answers_again(&store).await;
}

#[tokio::test]
async fn a_server_whose_answers_come_late_by_turns_opens_it_a_few_times() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&format!("redis://{}", proxy.addr()), HASTY);
    answers_again(&store).await;
    let (log, _guard) = Log::start();
    let (all, late) = {
        let jitter = async {
            for millis in [10, 35].into_iter().cycle() {
                proxy.delay(Duration::from_millis(millis), Duration::from_millis(millis));
                sleep(Duration::from_millis(150)).await;
            }
        };
        tokio::select! {
            counts = under_load(&store) => counts,
            () = jitter => unreachable!("it never ends"),
        }
    };
    assert!((1..=4).contains(&openings(&log)), "{}", log.text());
    assert!(late * 50 <= all, "{late} of {all}");
}

/// Passes replies on at 2 MB a second and connection.
async fn slow_downstream(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(upstream).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 10_000];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                    if read == buffer.len() {
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_replies_on_every_lane_leave_it_closed() {
    // Half as long as a large reply takes, and far longer than a busy machine takes for a small one.
    const DEADLINE: Duration = Duration::from_secs(1);
    const RUN: Duration = Duration::from_secs(7);
    let redis = RedisServer::start();
    let addr = slow_downstream(redis.addr()).await;
    let store = store(&format!("redis://{addr}"), DEADLINE);
    answers_again(&store).await;
    let large = "x".repeat(4_000_000);
    redis.command(&["SET", "keep:user:1", &large, "EX", "600"]);
    let (log, _guard) = Log::start();
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let users = users(&store);
        readers.spawn(async move {
            while start.elapsed() < RUN {
                let _ = users.get::<String>(1).await;
            }
        });
    }
    let (mut served, mut late) = (0, 0);
    while start.elapsed() < RUN {
        match store.ping().await {
            Ok(()) => served += 1,
            Err(StoreError::DeadlineExceeded(_)) => late += 1,
            Err(other) => panic!("{other}: {}", log.text()),
        }
        assert_ne!(store.state(), StoreState::Unavailable, "{}", log.text());
        sleep(Duration::from_millis(5)).await;
    }
    readers.join_all().await;
    assert_eq!(openings(&log), 0, "{}", log.text());
    // Only those that wait behind a large reply are late.
    assert!(served > 0, "{served} served, {late} late");
}

#[tokio::test]
async fn a_large_reply_on_the_only_lane_leaves_it_closed() {
    const DEADLINE: Duration = Duration::from_millis(400);
    let redis = RedisServer::start();
    let addr = slow_downstream(redis.addr()).await;
    let pool = super::pool(&format!("redis://{addr}"), 4, Default::default());
    let store = Store::redis_with_lanes(pool, 1).with_deadline(DEADLINE);
    answers_again(&store).await;
    let large = "x".repeat(4_000_000);
    redis.command(&["SET", "keep:user:1", &large, "EX", "600"]);
    let users = users(&store);
    let late = users.get::<String>(1).await.unwrap_err();
    assert!(matches!(late, StoreError::DeadlineExceeded(_)), "{late:?}");
    assert_eq!(store.state(), StoreState::Ready);
    store.ping().await.unwrap();
    users.set(2, "ada", HOUR).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_given_up_before_the_deadline_open_it_too() {
    const DEADLINE: Duration = Duration::from_millis(600);
    let redis = RedisServer::start();
    let store = store(&redis.url(), DEADLINE);
    for patience in [DEADLINE * 3 / 4, DEADLINE / 4] {
        answers_again(&store).await;
        redis.pause();
        for _ in 0..10 {
            let given_up = timeout(patience, store.ping()).await;
            assert!(!matches!(given_up, Ok(Ok(()))));
        }
        // Nobody calls any more.
        eventually("it is open", async || {
            store.state() == StoreState::Unavailable
        })
        .await;
        redis.resume();
    }
    answers_again(&store).await;
}

#[tokio::test]
async fn calls_that_are_given_up_leave_it_closed_while_the_server_answers() {
    const DEADLINE: Duration = Duration::from_secs(1);
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let store = store(&format!("redis://{}", proxy.addr()), DEADLINE);
    answers_again(&store).await;
    let (log, _guard) = Log::start();
    proxy.delay(Duration::from_millis(200), Duration::from_millis(200));
    let start = Instant::now();
    while start.elapsed() < 3 * DEADLINE {
        assert!(timeout(DEADLINE / 10, store.ping()).await.is_err());
        assert_ne!(store.state(), StoreState::Unavailable, "{}", log.text());
    }
    assert_eq!(openings(&log), 0, "{}", log.text());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_hasty_handle_does_not_shut_it_for_a_patient_one() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.addr());
    let patient = store(&format!("redis://{}", proxy.addr()), Duration::from_secs(1));
    let hasty = patient.clone().with_deadline(Duration::from_millis(5));
    answers_again(&patient).await;
    let (log, _guard) = Log::start();
    proxy.delay(Duration::from_millis(10), Duration::from_millis(10));
    for _ in 0..20 {
        hasty.ping().await.unwrap_err();
        let took = answers_again(&patient).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    assert!(openings(&log) <= 2, "{}", log.text());
}
