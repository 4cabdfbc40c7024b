//! A store that outlives runtimes, and tasks that do not outlive the store.

use std::{future::poll_fn, pin::pin, sync::OnceLock, task::Poll, time::Duration};

use tokio::{runtime, time::sleep};
use tower_keep::Store;

use super::{HOUR, PATIENT, answers_again, is_open, store, users};
use crate::harness::redis::{RedisCluster, RedisServer};

fn in_a_new_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn a_store_works_in_one_runtime_after_another() {
    static STORE: OnceLock<Store> = OnceLock::new();
    let redis = RedisServer::start();
    let store = STORE.get_or_init(|| store(&redis.url(), PATIENT));
    for id in 0..3 {
        in_a_new_runtime(async {
            users(store).set(id, "ada", HOUR).await.unwrap();
            store.ping().await.unwrap();
        });
    }
    assert_eq!(redis.keys("*").len(), 3);
}

#[test]
fn an_open_breaker_closes_in_the_next_runtime() {
    let mut redis = RedisServer::start();
    let store = store(&redis.url(), Duration::from_millis(500));
    redis.kill();
    in_a_new_runtime(is_open(&store));
    redis.restart();
    in_a_new_runtime(answers_again(&store));
}

#[tokio::test]
async fn the_last_handle_ends_the_connections_and_the_search_for_the_server() {
    let tasks = || runtime::Handle::current().metrics().num_alive_tasks();
    let mut redis = RedisServer::start();
    for killed in [false, true] {
        let first = store(&redis.url(), Duration::from_millis(500));
        let _ = first.ping().await;
        let last = first.clone();
        drop(first);
        assert!(tasks() > 0);
        drop(last);
        while tasks() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        if !killed {
            redis.kill();
        }
    }
}

#[test]
fn a_runtime_that_is_polled_no_more_holds_up_no_other() {
    let mut redis = RedisServer::start();
    let store = store(&redis.url(), Duration::from_millis(300));
    let first = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    first.block_on(answers_again(&store));
    // The connections are that runtime's, and nobody reads from them now.
    in_a_new_runtime(async {
        let taken = answers_again(&store).await;
        assert!(taken < Duration::from_secs(3), "{taken:?}");
    });
    // And so is the search for a server that is gone.
    first.block_on(answers_again(&store));
    redis.kill();
    first.block_on(is_open(&store));
    redis.restart();
    in_a_new_runtime(async {
        let taken = answers_again(&store).await;
        assert!(taken < Duration::from_secs(3), "{taken:?}");
    });
    drop(first);
}

#[tokio::test]
async fn calls_that_are_under_way_when_their_connections_runtime_ends_are_sent_again() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    let doomed = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let values = users(&store);
    let ready = doomed.spawn(async move {
        let values = users(&store);
        values.set(1, "ada", HOUR).await
    });
    ready.await.unwrap().unwrap();
    redis.pause();
    let calls = [(); 20].map(|()| {
        let values = values.clone();
        tokio::spawn(async move { values.get::<String>(1).await })
    });
    // Each has been polled, and sent: this runtime has one thread.
    tokio::task::yield_now().await;
    doomed.shutdown_background();
    redis.resume();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().as_deref(), Some("ada"));
    }
}

/// A call waits while what it needs is made in another runtime, which ends without having made it.
async fn goes_on_by_itself_when_the_runtime_ends_that_others_wait_for(
    url: &str,
    servers: &[&RedisServer],
) {
    let store = store(url, PATIENT);
    let values = users(&store);
    let doomed = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    servers.iter().for_each(|server| server.pause());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    doomed.spawn({
        let values = values.clone();
        async move {
            let mut first = pin!(values.exists(1));
            let is_done = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready()));
            begun.send(is_done.await).unwrap();
            first.await
        }
    });
    assert!(!has_begun.await.unwrap());
    let call = tokio::spawn(async move { values.exists(1).await });
    // It has been polled, and waits: this runtime has one thread.
    tokio::task::yield_now().await;
    doomed.shutdown_background();
    servers.iter().for_each(|server| server.resume());
    assert!(!call.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_call_goes_on_when_the_runtime_ends_in_which_the_connection_was_being_made() {
    let redis = RedisServer::start();
    goes_on_by_itself_when_the_runtime_ends_that_others_wait_for(&redis.url(), &[&redis]).await;
}

#[tokio::test]
async fn a_call_goes_on_when_the_runtime_ends_in_which_the_map_of_a_cluster_was_being_read() {
    let cluster = RedisCluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    goes_on_by_itself_when_the_runtime_ends_that_others_wait_for(&cluster.url(), &nodes).await;
}
