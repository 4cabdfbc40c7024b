//! Namespaces, and what a mixed run of all layers leaves in Redis.

use std::convert::Infallible;

use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    PeerAddr, Store,
    cache::CacheLayer,
    key_value::KeyValue,
    rate_limit::RateLimitLayer,
    session::{Session, SessionLayer},
};

use super::{HOUR, PATIENT, store, users};
use crate::harness::{eventually, redis::RedisServer};

const PEER: [u8; 4] = [203, 0, 113, 77];

#[tokio::test]
async fn namespaces_of_one_server_do_not_see_each_other() {
    let redis = RedisServer::start();
    for base in [Store::memory(), store(&redis.url(), PATIENT)] {
        let shop = users(&base.clone().with_namespace("shop").unwrap());
        let blog = users(&base.clone().with_namespace("blog").unwrap());
        shop.set(1, "ada", HOUR).await.unwrap();
        assert!(!blog.exists(1).await.unwrap());
        assert!(!users(&base).exists(1).await.unwrap());
        blog.set(1, "bob", HOUR).await.unwrap();
        assert!(blog.del(1).await.unwrap());
        assert_eq!(shop.get::<String>(1).await.unwrap().unwrap(), "ada");
    }
    assert_eq!(redis.keys("*"), ["shop:user:1"]);
}

#[test]
fn a_namespace_that_is_no_prefix_is_refused_by_name() {
    for bad in ["", "a b", "a*", "{a}", "a:", ":a", "a\n", &"x".repeat(65)] {
        let error = Store::memory().with_namespace(bad).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{bad:?}")) && error.contains("1 to 64"),
            "{error}"
        );
    }
    let store = Store::memory().with_namespace("shop:eu.prod_2").unwrap();
    assert_eq!(store.namespace(), "shop:eu.prod_2");
}

/// What is stored under a key, whatever its type.
fn content(redis: &RedisServer, key: &str) -> Vec<Vec<u8>> {
    let kind: String = redis.query(&["TYPE", key]);
    match kind.as_str() {
        "string" => vec![redis.query(&["GET", key])],
        "hash" => redis.query(&["HGETALL", key]),
        "set" => redis.query(&["SMEMBERS", key]),
        "none" => Vec::new(),
        other => panic!("{key} is a {other}"),
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[tokio::test]
async fn a_mixed_run_leaves_no_key_without_a_ttl_and_no_secret() {
    let redis = RedisServer::start();
    let store = store(&redis.url(), PATIENT);
    let limit = RateLimitLayer::new(store.clone(), r#""hour";q=1000;w=3600"#.parse().unwrap());
    let handler = service_fn(async |request: Request<String>| {
        let response = Response::builder();
        let path = request.uri().path().to_owned();
        if path == "/login" {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("user", 42).unwrap();
            session.renew().unwrap();
        }
        let response = match path.starts_with("/public") {
            true => response.header(header::CACHE_CONTROL, "max-age=60"),
            false => response,
        };
        Ok::<_, std::convert::Infallible>(response.body(path).unwrap())
    });
    let service = SessionLayer::new(store.clone()).layer(handler);
    let service = limit.layer(CacheLayer::new(store.clone()).layer(service));

    let mut cookie = String::new();
    let mut secrets = vec!["203.0.113.77".to_owned()];
    let paths = [
        "/login",
        "/public/1",
        "/private",
        "/login",
        "/public/2",
        "/login",
    ];
    for path in paths.into_iter().cycle().take(30) {
        let method = if path == "/login" {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://keys.test{path}"));
        if !cookie.is_empty() && !path.starts_with("/public") {
            request = request.header(header::COOKIE, &cookie);
        }
        let request = request.extension(PeerAddr((PEER, 1).into()));
        let request = request.body(String::new()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            cookie = set.split(';').next().unwrap().to_owned();
            secrets.push(cookie.split_once('=').unwrap().1.to_owned());
        }
        response.into_body().collect().await.unwrap();
    }
    assert!(secrets.len() > 3, "{secrets:?}");
    let values = KeyValue::new(store, "user").unwrap();
    for id in 0..5 {
        let load = || async { Ok::<_, Infallible>("ada".to_owned()) };
        values.get_or_load(id, HOUR, load).await.unwrap();
    }
    let slow = tokio::spawn(async move {
        let load = std::future::pending::<Result<String, Infallible>>;
        values.get_or_load("slow", HOUR, load).await
    });
    eventually("a load is under way", async || {
        !redis.keys("keep:lease:*").is_empty()
    })
    .await;

    redis.assert_every_key_has_a_ttl();
    let keys = redis.keys("*");
    for kind in ["session", "rate_limit", "cache", "user", "lease"] {
        let prefix = format!("keep:{kind}:");
        assert!(
            keys.iter().any(|key| key.starts_with(&prefix)),
            "{kind}: {keys:?}"
        );
    }
    slow.abort();
    for key in keys {
        let mut found = content(&redis, &key);
        found.push(key.clone().into_bytes());
        for secret in &secrets {
            assert!(
                !found.iter().any(|bytes| contains(bytes, secret)),
                "{secret} in {key}"
            );
        }
    }
}
