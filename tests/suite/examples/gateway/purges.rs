//! `POST /_cache/purge`.

use http::{Method, Request, StatusCode};

use super::stand::{Stand, answer, get_with, page, stored};
use crate::harness::{
    body,
    client::{Client, Reply},
    redis::RedisServer,
};

const TOKEN: [&str; 2] = ["--purge-token", "s3cret"];

async fn purge(client: &Client, authorization: &str, json: &str) -> Reply {
    let request = Request::post("/_cache/purge").header("host", "shop.example");
    let request = match authorization {
        "" => request,
        _ => request.header("authorization", authorization),
    };
    client
        .send(request.body(body::full(json.to_owned())).unwrap())
        .await
}

fn is_hit(reply: &Reply) -> bool {
    reply.header("cache-status").unwrap().contains("hit")
}

async fn tagged(_: Request<hyper::body::Incoming>) -> http::Response<body::Body> {
    let swr = "max-age=60, stale-while-revalidate=60";
    answer(
        &[
            ("cache-control", swr),
            ("surrogate-key", "a b"),
            ("etag", "\"1\""),
        ],
        "page",
    )
}

#[tokio::test]
async fn a_purge_by_uri_takes_the_page_out_for_plain_clients_and_those_over_tls() {
    let stand = Stand::start(&[&TOKEN[..], &["--trusted-hops", "1"]].concat(), page);
    let client = stand.client();
    let get = async || get_with(&client, "/a?q", "host", "shop.example").await;
    let get_secure = async || {
        let request = Request::get("/a?q").header("host", "shop.example");
        let request = request.header("x-forwarded-proto", "https");
        client.send(request.body(body::empty()).unwrap()).await
    };
    for uri in [
        "http://shop.example/a?q",
        "https://SHOP.example/a?q",
        "/a?q",
    ] {
        for _ in 0..2 {
            get().await;
            get_secure().await;
        }
        assert!(is_hit(&get().await) && is_hit(&get_secure().await), "{uri}");
        for other in ["http://shop.example/a", "http://other.example/a?q"] {
            purge(&client, "Bearer s3cret", &format!(r#"{{"uri":"{other}"}}"#)).await;
        }
        assert!(is_hit(&get().await), "{uri}");
        let reply = purge(&client, "bearer s3cret", &format!(r#"{{"uri":"{uri}"}}"#)).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!is_hit(&get().await), "{uri}");
        assert!(!is_hit(&get_secure().await), "{uri}");
    }
}

#[tokio::test]
async fn a_purge_by_tag_is_seen_by_every_gateway_on_the_redis() {
    let redis = RedisServer::start();
    let (one, two) = (
        Stand::on_redis(&redis, &TOKEN, tagged),
        Stand::on_redis(&redis, &[], tagged),
    );
    let get = async |client: &Client| get_with(client, "/a", "host", "shop.example").await;
    get(&one.client()).await;
    stored(&redis).await;
    assert!(is_hit(&get(&two.client()).await));
    let reply = purge(&one.client(), "Bearer s3cret", r#"{"tag":"b"}"#).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = get(&two.client()).await;
    assert!(!is_hit(&reply), "{reply:?}");
    stored(&redis).await;
    // A soft purge: the page is served while it is refreshed.
    let reply = purge(&one.client(), "Bearer s3cret", r#"{"tag":"a","soft":true}"#).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = get(&two.client()).await;
    let status = reply.header("cache-status").unwrap();
    let ttl: i64 = status.split("ttl=").nth(1).unwrap().parse().unwrap();
    assert!(is_hit(&reply) && ttl <= 0, "{status}");
    redis.assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn who_has_no_token_or_asks_wrongly_is_told_so() {
    let stand = Stand::start(&TOKEN, page);
    let client = stand.client();
    for (authorization, json, status) in [
        ("", r#"{"tag":"a"}"#, 401),
        ("Basic czNjcmV0", r#"{"tag":"a"}"#, 401),
        ("Bearer wrong", r#"{"tag":"a"}"#, 403),
        ("Bearer", r#"{"tag":"a"}"#, 401),
        ("Bearer s3cret", "", 400),
        ("Bearer s3cret", "{}", 400),
        ("Bearer s3cret", r#"{"tag":"a","uri":"/"}"#, 400),
        ("Bearer s3cret", r#"{"tag":1}"#, 400),
        ("Bearer s3cret", r#"{"tags":"a"}"#, 400),
        ("Bearer s3cret", r#"{"uri":"page"}"#, 400),
        ("Bearer s3cret", r#"{"uri":"http://u@shop.example/"}"#, 400),
        ("Bearer s3cret", r#"{"uri":"/","soft":true}"#, 400),
        ("Bearer s3cret", r#"{"tag":"a"}"#, 200),
    ] {
        let reply = purge(&client, authorization, json).await;
        assert_eq!(
            reply.status.as_u16(),
            status,
            "{authorization} {json}: {reply:?}"
        );
    }
    let long = format!(r#"{{"tag":"{}"}}"#, "a".repeat(20_000));
    let reply = purge(&client, "Bearer s3cret", &long).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let get = Request::builder().method(Method::GET).uri("/_cache/purge");
    let reply = client.send(get.body(body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn without_a_token_nobody_can_purge() {
    let stand = Stand::start(&[], page);
    let reply = purge(&stand.client(), "Bearer ", r#"{"tag":"a"}"#).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(stand.origin.hits(), 0);
}
