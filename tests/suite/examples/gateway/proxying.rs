//! What a reverse proxy owes both sides.

use std::time::Duration;

use super::stand::{Stand, answer, get_with, page, start};
use crate::harness::{body, client::Client, port};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;

#[tokio::test]
async fn a_request_goes_on_with_its_body_and_its_own_host() {
    let stand = Stand::start(&[], async |request| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let host = head.headers["host"].to_str().unwrap().to_owned();
        let via = head.headers["via"].to_str().unwrap().to_owned();
        let target = head.uri.to_string();
        let text = format!("{} {target} {host} {via} {}", head.method, body.len());
        answer(&[], &text)
    });
    let request = Request::post("/a?b=c").header("host", "shop.example");
    let reply = stand
        .client()
        .send(request.body(body::full("12345")).unwrap())
        .await;
    assert_eq!(reply.text(), "POST /a?b=c shop.example 1.1 tower-keep 5");
    assert_eq!(reply.header("via"), Some("1.1 tower-keep"));
}

#[tokio::test]
async fn fields_of_a_connection_stay_on_it() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        for name in ["x-hop", "keep-alive", "te"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
        answer(
            &[("connection", "x-back"), ("x-back", "1"), ("x-kept", "2")],
            "",
        )
    });
    let request = Request::get("/")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    let request = request
        .header("keep-alive", "1")
        .body(body::empty())
        .unwrap();
    let reply = stand.client().send(request).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("x-back"), None);
    assert_eq!(reply.header("x-kept"), Some("2"));
}

#[tokio::test]
async fn h2c_clients_are_served_and_share_what_is_stored() {
    let stand = Stand::start(&[], page);
    let two = Client::h2c(stand.gateway.addr());
    assert_eq!(two.get("/a").await.text(), "page");
    let hit = stand.client().get("/a").await;
    assert!(
        hit.header("cache-status").unwrap().contains("hit"),
        "{hit:?}"
    );
    assert_eq!(stand.origin.hits(), 1);
}

#[tokio::test]
async fn a_response_streams_and_keeps_its_trailers() {
    let (sender, body) = body::stream();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let stand = Stand::start(&[], move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move {
            Response::builder()
                .header("trailer", "x-sum")
                .body(body)
                .unwrap()
        }
    });
    let client = Client::h2c(stand.gateway.addr());
    let mut sender = sender;
    sender.send_data("first".into()).await.unwrap();
    let request = Request::get("/")
        .header("te", "trailers")
        .body(body::empty())
        .unwrap();
    let mut response = client.try_send(request).await.unwrap().into_body();
    // The origin has not ended: the first part comes all the same.
    let first = response
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    assert_eq!(first, "first");
    sender.send_data("last".into()).await.unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "9".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let rest = response.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["x-sum"], "9");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502_with_a_problem() {
    let gateway = start(([127, 0, 0, 1], port::free_port()).into(), &[]);
    let client = Client::http1(gateway.addr());
    for method in [Method::GET, Method::POST] {
        let reply = client.ask(method, "/a").await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(reply.json::<serde_json::Value>()["status"], 502);
    }
}

#[tokio::test]
async fn health_is_the_gateways_own() {
    let stand = Stand::start(&["--limit", "\"one\";q=1;w=3600"], page);
    let client = stand.client();
    for _ in 0..3 {
        assert_eq!(client.get("/_health/live").await.status, StatusCode::OK);
        assert_eq!(client.get("/_health/ready").await.status, StatusCode::OK);
    }
    // Without the token's flag there is no purge.
    let purge = client.get("/_cache/purge").await;
    assert_eq!(purge.status, StatusCode::NOT_FOUND);
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn without_a_cache_everything_is_forwarded() {
    let stand = Stand::start(&["--cache", "off"], page);
    for _ in 0..2 {
        let reply = stand.client().get("/a").await;
        assert_eq!(reply.header("cache-status"), None);
    }
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn a_stream_that_is_not_stored_ends_when_its_client_goes() {
    let (sender, body) = body::stream();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let stand = Stand::start(&[], move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move {
            Response::builder()
                .header("cache-control", "no-store")
                .body(body)
                .unwrap()
        }
    });
    let mut sender = sender;
    let request = Request::get("/events").body(body::empty()).unwrap();
    let response = stand.client().try_send(request).await.unwrap();
    sender.send_data("one".into()).await.unwrap();
    drop(response);
    let ended = async { while sender.send_data(vec![0; 65536].into()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("the origin is told");
}

#[tokio::test]
async fn a_request_with_a_wrong_host_reaches_nobody_elses_pages() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        answer(&[("cache-control", "max-age=60")], &host)
    });
    let client = stand.client();
    for host in ["a.example", "b.example", "a.example"] {
        assert_eq!(get_with(&client, "/", "host", host).await.text(), host);
    }
    assert_eq!(stand.origin.hits(), 2);
}
