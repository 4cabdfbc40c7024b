//! What Redis refuses for as long as nobody mends it: seen in the log, in the store's state and
//! in the error.

use http::{Request, Response};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    PeerAddr, Store, StoreError,
    cache::CacheLayer,
    key_value::{KeyValue, SetError},
    rate_limit::{RateLimitLayer, RateLimitOnStoreError},
    store::{RefusalKind, StoreState},
};

use super::{HOUR, PATIENT, answers_again, store, users};
use crate::harness::{eventually, log::Log, redis::RedisServer};

/// The kind with which setting a value is refused.
async fn refused(values: &KeyValue) -> RefusalKind {
    match values.set(1, "ada", HOUR).await {
        Err(SetError::Store(StoreError::Refused { kind, .. })) => kind,
        other => panic!("{other:?}"),
    }
}

/// A request under a limit, whose state has to be written.
async fn request(store: &Store) {
    let limit = RateLimitLayer::new(store.clone(), r#""hour";q=10000;w=3600"#.parse().unwrap());
    let service = limit.layer(service_fn(async |_: Request<String>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let mut request = Request::new(String::new());
    let peer = PeerAddr(([192, 0, 2, 1], 1).into());
    request.extensions_mut().insert(peer);
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

/// A request for a page that may be stored.
async fn page(store: &Store) {
    let service = CacheLayer::new(store.clone()).layer(service_fn(async |_: Request<String>| {
        let response = Response::builder().header("cache-control", "max-age=60");
        response.body(String::new())
    }));
    let request = Request::get("http://site.example/").body(String::new());
    let response = service.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_full_server_is_a_degraded_store_until_a_write_succeeds_again() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    let users = users(&store);
    users.set(2, "bob", HOUR).await.unwrap();
    assert_eq!(store.state(), StoreState::Ready);
    let (log, _guard) = Log::start();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..100 {
        request(&store).await;
    }
    assert_eq!(store.state(), StoreState::Degraded);
    assert_eq!(store.refusals(), [RefusalKind::OutOfMemory]);
    // A read is answered, and says nothing about writes.
    assert_eq!(users.get::<String>(2).await.unwrap().unwrap(), "bob");
    assert_eq!(store.state(), StoreState::Degraded);
    let text = log.text();
    let warnings = text
        .lines()
        .filter(|line| line.contains("store is degraded"));
    let warnings: Vec<_> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("OOM"), "{text}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    request(&store).await;
    assert_eq!(store.state(), StoreState::Ready);
    assert_eq!(store.refusals(), []);
}

#[tokio::test]
async fn a_key_of_another_type_degrades_the_store_for_a_while_whatever_else_succeeds() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    let users = users(&store);
    users.set(1, "ada", HOUR).await.unwrap();
    page(&store).await;
    eventually("the page is stored", async || {
        !redis.keys("keep:cache:*").is_empty()
    })
    .await;
    for key in redis.keys("keep:cache:*") {
        redis.command(&["SET", &key, "of another type"]);
    }
    page(&store).await;
    users.get::<String>(1).await.unwrap();
    assert_eq!(store.refusals(), [RefusalKind::WrongType]);
    tokio::time::pause();
    tokio::time::advance(HOUR).await;
    assert_eq!(store.refusals(), []);
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_and_the_store_is_ready_when_it_is_given() {
    let redis = RedisServer::config()
        .acl_user("app", "secret", "~keep:* +@all -evalsha")
        .start();
    let store = store(&redis.url(), PATIENT);
    let users = users(&store);
    assert_eq!(refused(&users).await, RefusalKind::NoPermission);
    assert_eq!(store.state(), StoreState::Degraded);
    redis.command(&["ACL", "SETUSER", "app", "+evalsha"]);
    users.set(1, "ada", HOUR).await.unwrap();
    assert_eq!(store.state(), StoreState::Ready);
}

#[tokio::test]
async fn what_may_not_be_read_does_not_count_as_absent() {
    let redis = RedisServer::config()
        .acl_user("app", "secret", "~keep:* +@all -get -hget -hmget -mget")
        .start();
    let store = store(&redis.url(), PATIENT);
    // Of whole microseconds a unit, of parts of one, of a fixed window, and of several limits.
    let (whole, parts) = (r#""whole";q=1;w=3600"#, r#""parts";q=7;w=3"#);
    let fixed = r#""fixed";q=1;w=3600;alg=fixed"#;
    for policies in [vec![whole], vec![parts], vec![fixed], vec![whole, fixed]] {
        let limit = RateLimitLayer::new(store.clone(), policies[0].parse().unwrap());
        let limit = (policies[1..].iter()).fold(limit, |limit, policy| {
            limit.and_policy(policy.parse().unwrap()).unwrap()
        });
        let limit = limit.on_store_error(RateLimitOnStoreError::Deny);
        let service = limit.layer(service_fn(async |_: Request<String>| {
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        }));
        let response = service.oneshot(Request::new(String::new())).await;
        assert_eq!(response.unwrap().status(), 503, "{policies:?}");
    }
    let (log, _guard) = Log::start();
    let load = async || Ok::<_, std::convert::Infallible>("ada".to_owned());
    let loaded = users(&store).get_or_load(1, HOUR, load).await;
    assert_eq!(loaded.unwrap(), "ada");
    assert!(log.text().contains("cannot be read"), "{}", log.text());
}

#[tokio::test]
async fn a_server_that_cannot_write_to_its_disk_is_told_from_one_that_is_full() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    answers_again(&store).await;
    // A snapshot that fails, and writes that are refused for it.
    redis.command(&["CONFIG", "SET", "save", "3600 100000"]);
    redis.command(&["SET", "other", "1"]);
    std::fs::create_dir(redis.dir().join("dump.rdb")).unwrap();
    redis.command(&["BGSAVE"]);
    let users = users(&store);
    let kind = loop {
        match users.set(1, "ada", HOUR).await {
            Ok(()) => sleep(std::time::Duration::from_millis(10)).await,
            Err(SetError::Store(StoreError::Refused { kind, .. })) => break kind,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(kind, RefusalKind::NotPersisted);
    assert_eq!(store.refusals(), [RefusalKind::NotPersisted]);
}
