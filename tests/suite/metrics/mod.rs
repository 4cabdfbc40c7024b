//! What is counted, as an exporter gets it.

mod recorder;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_keep::{
    PeerAddr, Store, StoreConfig,
    cache::CacheLayer,
    rate_limit::{JointRateLimiter, RateLimitLayer, RateLimitOnStoreError, RateLimiter},
    session::{SessionKeys, SessionLayer, TypedSession},
};

use self::recorder::Recorder;
use crate::{
    cache::stand::{Origin, Site, ok},
    harness::{
        connected::PATIENT,
        eventually,
        redis::{Backend, RedisCluster, RedisServer},
    },
    session::stand::{Client, Stand},
};

fn limiter(store: Store) -> RateLimiter {
    RateLimiter::new(store, r#""tight";q=2;w=86400"#.parse().unwrap())
}

/// Of five calls to limits of 2 and of 100, and looks at them between.
fn assert_five_calls_are_counted(recorder: &Recorder) {
    let count = |policy, outcome| {
        let labels = [
            ("policy", policy),
            ("outcome", outcome),
            ("degraded", "false"),
        ];
        recorder.counter("tower_keep_rate_limit_decisions_total", &labels)
    };
    assert_eq!(count("tight", "admitted"), 2);
    assert_eq!(count("tight", "denied"), 3);
    assert_eq!(count("wide", "admitted"), 2);
    assert_eq!(count("wide", "denied"), 0);
}

#[tokio::test]
async fn decisions_are_counted_by_policy_and_outcome() {
    let (recorder, _guard) = Recorder::install();
    let limiter = limiter(Store::memory())
        .and_policy(r#""wide";q=100;w=86400"#.parse().unwrap())
        .unwrap();
    for _ in 0..5 {
        let _ = limiter.acquire("ada", 1).await.unwrap();
        limiter.peek("ada").await.unwrap();
    }
    assert_five_calls_are_counted(&recorder);
}

#[tokio::test]
async fn decisions_of_several_limiters_are_counted_as_those_of_one() {
    let (recorder, _guard) = Recorder::install();
    let store = Store::memory();
    let wide = RateLimiter::new(store.clone(), r#""wide";q=100;w=86400"#.parse().unwrap());
    let joint = JointRateLimiter::new([limiter(store), wide]).unwrap();
    for _ in 0..5 {
        let _ = joint.acquire(["192.0.2.1", "ada"], 1).await.unwrap();
        joint.peek(["192.0.2.1", "ada"]).await.unwrap();
    }
    assert_five_calls_are_counted(&recorder);
}

#[tokio::test]
async fn without_the_store_decisions_are_degraded_or_none() {
    let (recorder, _guard) = Recorder::install();
    let mut backend = Backend::redis();
    let store = backend.connected(PATIENT).await;
    backend.kill();
    let local = limiter(store.clone());
    assert!(local.acquire("ada", 1).await.unwrap().is_degraded());
    let labels = [
        ("policy", "tight"),
        ("outcome", "admitted"),
        ("degraded", "true"),
    ];
    let decisions = "tower_keep_rate_limit_decisions_total";
    assert_eq!(recorder.counter(decisions, &labels), 1);
    let allow = limiter(store.clone()).on_store_error(RateLimitOnStoreError::Allow);
    let _ = allow.acquire("ada", 1).await.unwrap();
    let deny = limiter(store.clone()).on_store_error(RateLimitOnStoreError::Deny);
    assert!(deny.acquire("ada", 1).await.is_err());
    for outcome in ["admitted", "refused"] {
        let failures = "tower_keep_rate_limit_failures_total";
        assert_eq!(recorder.counter(failures, &[("outcome", outcome)]), 1);
    }
    eventually("the breaker is open", async || {
        recorder.gauge("tower_keep_store_breakers_open") == 1.0
    })
    .await;
    backend.restart();
    eventually("it is closed again", async || {
        recorder.gauge("tower_keep_store_breakers_open") == 0.0
    })
    .await;
}

#[tokio::test]
async fn requests_to_a_cache_are_counted_as_cache_status_has_them() {
    let (recorder, _guard) = Recorder::install();
    let page = |_| async { Ok(ok(&[("cache-control", "max-age=60")], "page")) };
    let site = Site::of(&CacheLayer::new(Store::memory()), Origin::new(page));
    for path in ["/a", "/a", "/a", "/b"] {
        site.get(path).await;
    }
    let count = |outcome| {
        let labels = [("outcome", outcome), ("collapsed", "false"), ("detail", "")];
        recorder.counter("tower_keep_cache_requests_total", &labels)
    };
    assert_eq!((count("hit"), count("uri-miss")), (2, 2));
}

#[tokio::test]
async fn session_loads_and_commits_are_counted() {
    let (recorder, _guard) = Recorder::install();
    let client = Client::of(SessionLayer::new(Store::memory()));
    client.login("ada").await;
    client.get("user").await;
    let stranger = client.another();
    stranger.plant(&"x".repeat(52));
    stranger.get("user").await;
    let loads =
        |outcome| recorder.counter("tower_keep_session_loads_total", &[("outcome", outcome)]);
    assert_eq!(
        (loads("found"), loads("absent"), loads("failed")),
        (1, 1, 0)
    );
    let commits = [("outcome", "committed")];
    assert_eq!(
        recorder.counter("tower_keep_session_commits_total", &commits),
        1
    );
}

#[tokio::test]
async fn sessions_and_values_that_do_not_read_are_counted() {
    let (recorder, _guard) = Recorder::install();
    let stand = Stand::redis().await;
    let unreadable =
        |what| recorder.counter("tower_keep_session_unreadable_total", &[("what", what)]);
    let client = stand.logged_in("ada").await;
    let key = stand.only_key();

    assert_eq!(client.get("user").await, Some("ada".into()));
    assert_eq!((unreadable("value"), unreadable("session")), (0, 0));
    stand.server().command(&["HSET", &key, "d:user", "{broken"]);
    assert_eq!(client.get("user").await, None);
    assert_eq!((unreadable("value"), unreadable("session")), (1, 0));
    stand.server().command(&["HSET", &key, "m", "long ago"]);
    assert_eq!(client.get("user").await, None);
    assert_eq!((unreadable("value"), unreadable("session")), (1, 1));
    let sum = client.visit(async |session| session.increment("n", 1).await.unwrap());
    assert_eq!(sum.await, 1);
    assert_eq!((unreadable("value"), unreadable("session")), (1, 2));

    // What no key of the ring has encrypted.
    let keys = SessionKeys::new(&[1; 32]).unwrap();
    let other = Client::of(stand.layer.clone().with_encrypted_data(keys));
    other.plant(&client.id().unwrap());
    assert_eq!(other.get("n").await, None);
    assert_eq!((unreadable("value"), unreadable("session")), (2, 2));

    // A field of a typed session.
    #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
    struct Counts {
        n: Vec<u8>,
    }
    let counts = client.visit(async |session| TypedSession::<Counts>::new(session).get().await);
    assert_eq!(counts.await.unwrap().n, [0; 0]);
    assert_eq!((unreadable("value"), unreadable("session")), (3, 2));
}

#[tokio::test]
async fn calls_to_redis_are_timed_and_refusals_counted() {
    let (recorder, _guard) = Recorder::install();
    let backend = Backend::redis();
    let store = backend.connected(PATIENT).await;
    let calls =
        |outcome| recorder.histogram("tower_keep_store_call_seconds", &[("outcome", outcome)]);
    let before = calls("answered").len();
    for _ in 0..3 {
        store.ping().await.unwrap();
    }
    let after = calls("answered");
    assert_eq!(after.len(), before + 3);
    assert!(
        after.iter().all(|took| *took > 0.0 && *took < 5.0),
        "{after:?}"
    );
    backend.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    backend.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let _ = limiter(store).acquire("ada", 1).await.unwrap();
    let refused = [("kind", "OOM")];
    assert!(recorder.counter("tower_keep_store_refusals_total", &refused) >= 1);
}

/// Calls `store` until nothing is sent any more, as its server is frozen.
async fn assert_unanswered_calls_are_counted(recorder: &Recorder, store: Store) {
    let values = tower_keep::key_value::KeyValue::new(store, "user").unwrap();
    let calls = |outcome| {
        let labels = [("outcome", outcome)];
        recorder
            .histogram("tower_keep_store_call_seconds", &labels)
            .len()
    };
    let answered = calls("answered");
    eventually("calls are not sent", async || {
        assert!(values.get::<String>(1).await.is_err());
        calls("unavailable") > 0
    })
    .await;
    assert!(calls("failed") > 0);
    assert_eq!(calls("answered"), answered);
}

const HASTY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn calls_that_are_not_answered_or_not_sent_are_counted_as_such() {
    let (recorder, _guard) = Recorder::install();
    let redis = RedisServer::start();
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let store = config.with_deadline(HASTY).build().unwrap();
    answers(&store).await;
    redis.pause();
    assert_unanswered_calls_are_counted(&recorder, store).await;
    redis.resume();
}

#[tokio::test]
async fn calls_that_a_shard_does_not_answer_are_counted_as_such() {
    let (recorder, _guard) = Recorder::install();
    let cluster = RedisCluster::start();
    cluster.set_node_timeout(Duration::from_secs(60));
    let config = StoreConfig::from_url(&cluster.url()).unwrap();
    let store = config.with_deadline(HASTY).build().unwrap();
    answers(&store).await;
    cluster.nodes().iter().for_each(|node| node.pause());
    assert_unanswered_calls_are_counted(&recorder, store).await;
    cluster.nodes().iter().for_each(|node| node.resume());
}

async fn answers(store: &Store) {
    eventually("it answers", async || store.ping().await.is_ok()).await;
}

/// Whatever a client sends, no label has it, and the labels of one name are always the same.
#[tokio::test]
async fn no_secret_address_or_url_is_in_a_label() {
    let (recorder, _guard) = Recorder::install();
    let backend = Backend::redis();
    let store = backend.connected(PATIENT).await;
    let answer = async |_: Request<String>| {
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, std::convert::Infallible>(response.body(String::from("page")).unwrap())
    };
    let limit = RateLimitLayer::new(store.clone(), r#""tight";q=5;w=60"#.parse().unwrap());
    let service = limit.layer(
        SessionLayer::new(store.clone())
            .layer(CacheLayer::new(store.clone()).layer(service_fn(answer))),
    );
    for n in 0..20_u16 {
        let peer = PeerAddr(SocketAddr::from(([198, 51, 100, 7], 1000 + n)));
        let request = Request::builder()
            .uri(format!("http://site.example/secret-path-{n}?token=s3cret"))
            .header("cookie", "__Host-id=secret-session-id")
            .header("x-request-id", format!("secret-{n}"))
            .extension(peer)
            .body(String::new())
            .unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    let text = recorder.labels();
    assert!(text.len() > 3, "{text:?}");
    for label in &text {
        for secret in [
            "secret",
            "s3cret",
            "198.51",
            "site.example",
            "http",
            "keep:",
        ] {
            assert!(!label.contains(secret), "{label}");
        }
    }
    assert!(recorder.series() < 20, "{text:?}");
}

#[test]
fn every_metric_is_in_the_documentation() {
    let source = include_str!("../../../src/metrics.rs");
    let (docs, code): (Vec<_>, Vec<_>) = source.lines().partition(|line| line.starts_with("//!"));
    let named = |lines: &[&str]| -> BTreeSet<String> {
        let text = lines.join("\n");
        let names = text.split("tower_keep_").skip(1);
        let end = |c: char| !(c.is_ascii_lowercase() || c == '_');
        names
            .map(|rest| rest.split(end).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named(&docs), named(&code));
}
