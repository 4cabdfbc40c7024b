//! Passwords, in no log line at any level, no error and no `Debug`.

use std::time::Duration;

use tower_keep::{Store, StoreConfig};

use super::{PATIENT, answers_again, is_open, pool, store};
use crate::harness::{log::Log, redis::RedisServer};

#[tokio::test]
async fn a_wrong_password_is_named_as_such_and_not_told() {
    let redis = RedisServer::config().password("r1ght").start();
    let (log, _guard) = Log::start();
    let url = format!("redis://:wr0ng@{}", redis.addr());
    let store = store(&url, Duration::from_millis(500));
    let error = store.ping().await.unwrap_err();
    is_open(&store).await;
    let again = store.ping().await.unwrap_err();
    let log = log.text();
    assert!(log.contains("cannot connect to Redis"), "{log}");
    assert!(log.contains("Password authentication failed"), "{log}");
    let told = format!("{log} {error} {error:?} {again} {again:?} {store:?}");
    assert!(!told.contains("wr0ng") && !told.contains("r1ght"), "{told}");
}

#[tokio::test]
async fn a_missing_password_opens_the_breaker_and_is_logged_as_such() {
    let redis = RedisServer::config().password("r1ght").start();
    let (log, _guard) = Log::start();
    let store = store(
        &format!("redis://{}", redis.addr()),
        Duration::from_millis(500),
    );
    is_open(&store).await;
    let log = log.text();
    assert!(log.contains("NOAUTH"), "{log}");
    assert!(!log.contains("connected to Redis"), "{log}");
    // It is found as soon as none is needed.
    redis.command(&["CONFIG", "SET", "requirepass", ""]);
    answers_again(&store).await;
}

#[tokio::test]
async fn a_password_of_any_characters_works_from_the_url_and_in_pieces_and_is_logged_nowhere() {
    let password = "p@ss:w/rd%?#ü";
    let redis = RedisServer::config().password(password).start();
    let (log, _guard) = Log::start();
    let pieces = |name: &str| match name {
        "REDIS_HOST" => Some("127.0.0.1".to_owned()),
        "REDIS_PORT" => Some(redis.port().to_string()),
        "REDIS_PASSWORD" => Some(password.to_owned()),
        "REDIS_DB" => Some("3".to_owned()),
        "REDIS_TIMEOUT_MS" => Some("5000".to_owned()),
        "REDIS_NAMESPACE" => Some("shop".to_owned()),
        "REDIS_POOL_SIZE" => Some("2".to_owned()),
        _ => None,
    };
    let config = StoreConfig::from_vars(pieces).unwrap();
    let mut told = format!("{config:?}");
    let store = config.build().unwrap();
    assert_eq!(store.namespace(), "shop");
    store.ping().await.unwrap();
    let clients: String = redis.query(&["CLIENT", "LIST"]);
    assert_eq!(clients.matches(" db=3 ").count(), 2, "{clients}");
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    told += &format!("{config:?}");
    let other = config.with_deadline(PATIENT).build().unwrap();
    other.ping().await.unwrap();
    told += &format!("{store:?} {other:?} {}", log.text());
    assert!(told.contains("connected to Redis"), "{told}");
    for secret in [password, "p@ss", "p%40ss"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn a_pool_that_is_all_in_use_is_logged_as_such() {
    let redis = RedisServer::start();
    let pool = pool(&redis.url(), 1, Default::default());
    let _taken = pool.get().await.unwrap();
    let (log, _guard) = Log::start();
    let store = Store::redis(pool).with_deadline(Duration::from_secs(2));
    store.ping().await.unwrap_err();
    let log = log.text();
    assert!(
        log.contains("all 1 connections of the pool are in use"),
        "{log}"
    );
}

#[test]
fn what_cannot_be_reached_is_refused_with_what_can() {
    for (url, expected) in [
        (
            "http://app:s3cret@h",
            "redis://[user:password@]host[:port][/db]",
        ),
        (
            "redis+cluster://app:s3cret@a:1,b:2/3",
            "redis+cluster://[user:password@]host[:port],…",
        ),
        (
            "redis+sentinel://app:s3cret@a:1,b:2",
            "host[:port],…/master",
        ),
    ] {
        let vars = |name: &str| (name == "REDIS_URL").then(|| url.to_owned());
        let error = StoreConfig::from_vars(vars).unwrap_err().to_string();
        assert!(error.starts_with("REDIS_URL is "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
