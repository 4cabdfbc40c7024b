//! The bounds and the sweeper, seen from inside.

use std::time::Duration;

use super::{Memory, MemoryLimits};
use crate::store::{Backend, Store};

/// Room for a few hundred small entries a kind, in bytes.
const BUDGET: usize = 64 << 10;

fn small() -> Store {
    let limits = MemoryLimits {
        rate_limits: BUDGET,
        sessions: BUDGET,
        session_index: BUDGET,
        responses: BUDGET,
        values: BUDGET,
    };
    Store::memory_within(&limits)
}

fn memory(store: &Store) -> &Memory {
    match &store.backend {
        Backend::Memory(memory) => memory,
        #[cfg(feature = "redis")]
        Backend::Redis(_) | Backend::Cluster(_) => unreachable!("the store is one of memory"),
    }
}

/// Fills the table more than its budget takes, lets all expire and the sweeper run.
macro_rules! bounded_and_swept {
    ($store:ident, $table:ident, $ttl:expr, $write:expr) => {
        for n in 0..5_000 {
            $write(n).await;
        }
        let (entries, weight) = memory(&$store).$table.usage();
        assert!(entries > 50 && entries < 2_000, "{entries} entries");
        assert!(weight > BUDGET / 2 && weight <= BUDGET, "{weight} bytes");
        tokio::time::sleep($ttl + super::SWEEP_EVERY * 2).await;
        assert_eq!(memory(&$store).$table.usage(), (0, 0));
    };
}

#[cfg(feature = "key-value")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_values_is_bounded_and_reclaimed_without_a_call() {
    let store = small();
    let values = crate::key_value::KeyValue::new(store.clone(), "flood").unwrap();
    let ttl = Duration::from_secs(60);
    bounded_and_swept!(store, values, ttl, async |n: u64| {
        values.set(n, "a value", ttl).await.unwrap();
    });
}

#[cfg(feature = "key-value")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_loads_that_fail_leaves_nothing_behind() {
    let store = small();
    let values = crate::key_value::KeyValue::new(store.clone(), "flood").unwrap();
    for n in 0..5_000 {
        let load = || async { Err::<String, _>("no such row") };
        let load = values.get_or_load(n, Duration::from_secs(60), load);
        load.await.unwrap_err();
    }
    assert_eq!(memory(&store).values.usage(), (0, 0));
}

#[cfg(feature = "rate-limit")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_rate_limited_clients_is_bounded_and_reclaimed_without_a_call() {
    use tower_layer::Layer;
    use tower_service::Service;

    let store = small();
    let policy = r#""minute";q=10;w=60"#.parse().unwrap();
    let layer = crate::rate_limit::RateLimitLayer::new(store.clone(), policy);
    let mut service = layer.layer(Echo);
    bounded_and_swept!(
        store,
        rate_limits,
        Duration::from_secs(60),
        async |n: u32| {
            let peer = std::net::SocketAddr::from((n.to_be_bytes(), 1));
            let mut request = http::Request::new(String::new());
            request.extensions_mut().insert(crate::PeerAddr(peer));
            let response = service.call(request).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    );
}

#[cfg(feature = "session")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_sessions_is_bounded_and_reclaimed_without_a_call() {
    use tower_layer::Layer;
    use tower_service::Service;

    let store = small();
    let idle = Duration::from_secs(3600);
    let layer = crate::session::SessionLayer::new(store.clone()).with_idle_timeout(idle);
    let mut service = layer.unwrap().layer(SignIn);
    bounded_and_swept!(store, sessions, idle, async |_: u32| {
        let response = service.call(http::Request::new(String::new())).await;
        assert!(response.unwrap().headers().contains_key("set-cookie"));
    });
}

#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_responses_is_bounded_and_reclaimed_without_a_call() {
    use http_body_util::BodyExt;
    use tower_layer::Layer;
    use tower_service::Service;

    let store = small();
    // Fresh for one minute, and then for ten of use to a validation.
    const KEPT: Duration = Duration::from_secs(11 * 60);
    let mut service = crate::cache::CacheLayer::new(store.clone()).layer(Echo);
    bounded_and_swept!(store, responses, KEPT, async |n: u32| {
        let request = http::Request::builder().uri(format!("http://flood.test/{n}"));
        let response = service.call(request.body(String::new()).unwrap()).await;
        response.unwrap().into_body().collect().await.unwrap();
    });
}

#[cfg(feature = "key-value")]
#[test]
fn a_runtime_that_ends_takes_its_sweeper_along_and_the_next_use_starts_another() {
    let store = small();
    let values = crate::key_value::KeyValue::new(store.clone(), "user").unwrap();
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            values.set(1, "a", Duration::from_secs(1)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(memory(&store).values.usage(), (0, 0));
        });
    }
}

#[cfg(feature = "key-value")]
#[test]
fn a_sweeper_in_a_runtime_that_is_no_longer_polled_is_replaced() {
    let store = small();
    let values = crate::key_value::KeyValue::new(store.clone(), "user").unwrap();
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap()
    };
    let (idle, polled) = (runtime(), runtime());
    idle.block_on(store.ping()).unwrap();
    polled.block_on(async {
        values.set(1, "a", Duration::from_secs(1)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        store.ping().await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(memory(&store).values.usage(), (0, 0));
    });
    // And does not sweep beside the one that has taken over.
    idle.block_on(async { tokio::time::sleep(Duration::from_secs(3)).await });
    assert_eq!(idle.metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_ends_with_the_last_handle() {
    let store = small();
    store.ping().await.unwrap();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let clone = store.clone();
    drop(store);
    tokio::time::sleep(super::SWEEP_EVERY * 3).await;
    assert_eq!(tasks(), 1);
    drop(clone);
    tokio::time::sleep(super::SWEEP_EVERY * 3).await;
    assert_eq!(tasks(), 0);
}

/// Answers every request with a response to be kept for a minute.
#[cfg(any(feature = "cache", feature = "rate-limit"))]
#[derive(Clone)]
struct Echo;

#[cfg(any(feature = "cache", feature = "rate-limit"))]
impl tower_service::Service<http::Request<String>> for Echo {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<String>) -> Self::Future {
        let response = http::Response::builder().header("cache-control", "max-age=60");
        std::future::ready(Ok(response.body(request.uri().to_string()).unwrap()))
    }
}

/// Puts something into the session of every request.
#[cfg(feature = "session")]
#[derive(Clone)]
struct SignIn;

#[cfg(feature = "session")]
impl tower_service::Service<http::Request<String>> for SignIn {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<String>) -> Self::Future {
        let session = request.extensions().get::<crate::session::Session>();
        session.unwrap().insert("user", &42).unwrap();
        std::future::ready(Ok(http::Response::default()))
    }
}
