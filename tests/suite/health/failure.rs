//! A store that is gone, frozen, full, or lost a part.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;
use tower_keep::{Store, health::Health};

use super::{ready, store};
use crate::harness::{
    connected::PATIENT,
    eventually,
    proxy::Proxy,
    redis::{Backend, RedisCluster},
};

/// What these tests stand on is the servers alone.
struct Stand;

impl Stand {
    async fn on(backend: Backend) -> Backend {
        backend
    }
}

crate::harness::on_own_servers!(
    ready_is_503_while_the_server_is_down_and_200_when_it_is_back,
    a_frozen_server_is_waited_for_no_longer_than_the_deadline,
    a_server_that_refuses_writes_is_degraded_and_says_why,
);

async fn ready_is_503_while_the_server_is_down_and_200_when_it_is_back(mut backend: Backend) {
    let health = Health::new(backend.connected(PATIENT).await);
    backend.kill();
    let (status, report) = ready(&health).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(report["status"], "unavailable");
    assert!(report["stores"][0]["error"].is_string(), "{report}");
    eventually("the breaker is open", async || {
        ready(&health).await.1["stores"][0]["breaker"] == "open"
    })
    .await;
    backend.restart();
    eventually("it is ready", async || {
        ready(&health).await.0 == StatusCode::OK
    })
    .await;
}

async fn a_frozen_server_is_waited_for_no_longer_than_the_deadline(backend: Backend) {
    let health = Health::new(backend.connected(Store::DEFAULT_DEADLINE).await);
    backend.pause();
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let start = Instant::now();
        let (status, _) = ready(&health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    backend.resume();
    eventually("it is ready", async || {
        ready(&health).await.0 == StatusCode::OK
    })
    .await;
}

async fn a_server_that_refuses_writes_is_degraded_and_says_why(backend: Backend) {
    let store = backend.connected(PATIENT).await;
    let health = Health::new(store.clone());
    backend.command_each(&["CONFIG", "SET", "maxmemory", "1"]);
    let values = tower_keep::key_value::KeyValue::new(store, "user").unwrap();
    values
        .set("1", "ada", Duration::from_secs(60))
        .await
        .unwrap_err();
    let (status, report) = ready(&health).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(report["status"], "degraded");
    assert_eq!(report["stores"][0]["refused"], json!(["OOM"]));
}

#[tokio::test]
async fn a_cluster_that_lost_a_shard_is_degraded_and_shows_which() {
    let cluster = RedisCluster::start();
    let health = Health::new(store(&cluster.url(), Duration::from_millis(500)));
    eventually("it is ready", async || {
        ready(&health).await.1["status"] == "ready"
    })
    .await;
    let frozen = &cluster.nodes()[1];
    frozen.pause();
    let address = frozen.addr().to_string();
    eventually("it is degraded", async || {
        let (status, report) = ready(&health).await;
        assert_eq!(status, StatusCode::OK);
        let servers = report["stores"][0]["servers"].as_array().unwrap();
        let down: Vec<_> = servers
            .iter()
            .filter(|server| server["status"] == "unavailable")
            .collect();
        report["status"] == "degraded" && down.len() == 1 && down[0]["address"] == address.as_str()
    })
    .await;
    for node in cluster.nodes() {
        node.pause();
    }
    eventually("it is not ready", async || {
        ready(&health).await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    for node in cluster.nodes() {
        node.resume();
    }
}

#[tokio::test]
async fn a_cluster_that_was_never_reached_is_not_ready() {
    let health = Health::new(store("redis+cluster://127.0.0.1:1", PATIENT));
    for _ in 0..3 {
        let (status, report) = ready(&health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{report}");
        assert_eq!(report["status"], "unavailable");
        assert!(report["stores"][0]["error"].is_string(), "{report}");
    }
}

#[tokio::test]
async fn a_silent_cluster_is_waited_for_no_longer_than_the_deadline() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let cluster = RedisCluster::start();
    let proxy = Proxy::start(cluster.nodes()[0].addr());
    proxy.hold_replies();
    let pool =
        deadpool_redis::cluster::Config::from_urls(vec![format!("redis://{}", proxy.addr())]);
    let pool = pool.create_pool(Some(deadpool_redis::Runtime::Tokio1));
    let by_pool = Store::cluster(pool.unwrap()).with_deadline(DEADLINE);
    let by_url = store(&format!("redis+cluster://{}", proxy.addr()), DEADLINE);
    for store in [by_pool, by_url] {
        let start = Instant::now();
        let (status, report) = ready(&Health::new(store)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{report}");
        let took = start.elapsed();
        assert!(took < DEADLINE * 7 / 4, "{took:?}");
    }
}

#[tokio::test]
async fn no_answer_shows_a_password() {
    let nobody = store("redis://shop:secret@127.0.0.1:1/", PATIENT);
    let (_, report) = ready(&Health::new(nobody)).await;
    assert!(!report.to_string().contains("secret"), "{report}");
}
