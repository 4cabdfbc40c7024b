//! Neither side can hold a connection or a request by doing nothing.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::stand::{Stand, answer, page};
use crate::harness::{
    body::{self, Body, BodySender},
    raw::RawClient,
};

const IDLE: [&str; 2] = ["--idle", "1"];

/// An origin whose one response streams from the test, with these fields.
fn streaming(
    fields: &'static [(&'static str, &'static str)],
) -> (
    BodySender,
    impl Fn(Request<Incoming>) -> std::future::Ready<Response<Body>> + Clone,
) {
    let (sender, stream) = body::stream();
    let stream = Arc::new(Mutex::new(Some(stream)));
    let handler = move |_| {
        let mut response = answer(fields, "");
        if let Some(stream) = stream.lock().unwrap().take() {
            *response.body_mut() = stream;
        }
        std::future::ready(response)
    };
    (sender, handler)
}

/// Long enough for a limit of a second to be over on a busy machine.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what)
        .await
        .expect("the limit applies")
}

#[tokio::test]
async fn an_upstream_that_stalls_in_its_body_cuts_the_client_off() {
    for fields in [
        &[("cache-control", "no-store")][..],
        &[("cache-control", "max-age=60")],
        &[("cache-control", "max-age=60"), ("content-length", "400")],
    ] {
        for version in [1, 2] {
            let (mut sender, handler) = streaming(fields);
            let stand = Stand::start(&IDLE, handler);
            let client = if version == 1 {
                stand.client()
            } else {
                stand.h2c()
            };
            let request = Request::get("/p").body(body::empty()).unwrap();
            sender.send_data("half".into()).await.unwrap();
            let response = client.try_send(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let ended = in_time(response.into_body().collect()).await;
            assert!(
                ended.is_err(),
                "{fields:?}: half a body as a whole one: {ended:?}"
            );
            in_time(async { while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {} })
                .await;
        }
    }
}

#[tokio::test]
async fn an_http_1_0_client_sees_the_cut_as_a_reset() {
    for fields in [
        &[("cache-control", "no-store")][..],
        &[("cache-control", "max-age=60")],
    ] {
        let (mut sender, handler) = streaming(fields);
        let stand = Stand::start(&IDLE, handler);
        let mut client = RawClient::connect(stand.gateway.addr()).await;
        client.send("GET /p HTTP/1.0\r\n\r\n").await;
        sender.send_data("half".into()).await.unwrap();
        let (text, end) = in_time(client.end()).await;
        assert!(end.is_err(), "a clean end after {text}");
    }
}

#[tokio::test]
async fn an_upstream_that_keeps_sending_is_not_idle() {
    let (mut sender, handler) = streaming(&[("cache-control", "no-store")]);
    let stand = Stand::start(&IDLE, handler);
    let request = Request::get("/p").body(body::empty()).unwrap();
    let response = stand.client().try_send(request).await.unwrap();
    let drip = async {
        for _ in 0..8 {
            sender.send_data("x".into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        drop(sender);
    };
    let (whole, ()) = tokio::join!(response.into_body().collect(), drip);
    assert_eq!(whole.unwrap().to_bytes(), "xxxxxxxx");
}

#[tokio::test]
async fn an_upstream_without_an_answer_in_time_is_a_504_with_a_problem() {
    let stand = Stand::start(&["--upstream-timeout", "1"], async |_| {
        std::future::pending::<()>().await;
        answer(&[], "")
    });
    for path in ["/p", "/q"] {
        let reply = in_time(stand.client().get(path)).await;
        assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(reply.json::<serde_json::Value>()["status"], 504);
    }
}

#[tokio::test]
async fn a_long_upload_that_keeps_coming_does_not_use_up_the_time_for_the_answer() {
    let stand = Stand::start(
        &["--upstream-timeout", "1"],
        async |request: Request<Incoming>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            answer(&[], &body.len().to_string())
        },
    );
    let (mut sender, upload) = body::stream();
    let drip = async {
        for _ in 0..8 {
            sender.send_data("x".into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        drop(sender);
    };
    let client = stand.client();
    let request = Request::post("/").body(upload).unwrap();
    let (reply, ()) = tokio::join!(client.send(request), drip);
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, "8"));
}

#[tokio::test]
async fn an_upload_that_stalls_is_a_408() {
    let ended = Arc::new(Mutex::new(false));
    let seen = ended.clone();
    let stand = Stand::start(&IDLE, move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let whole = request.into_body().collect().await;
            *seen.lock().unwrap() = whole.is_err();
            answer(&[], "")
        }
    });
    let mut client = RawClient::connect(stand.gateway.addr()).await;
    client
        .send("POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nhalf")
        .await;
    let text = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("application/problem+json"), "{text}");
    crate::harness::eventually("the upstream is told", async || *ended.lock().unwrap()).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let stand = Stand::start(&IDLE, page);
    for start in ["", "G", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut client = RawClient::connect(stand.gateway.addr()).await;
        client.send(start).await;
        let opened = Instant::now();
        in_time(client.rest()).await;
        assert!(opened.elapsed() >= Duration::from_millis(900), "{start:?}");
    }
    let mut kept = RawClient::connect(stand.gateway.addr()).await;
    kept.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    kept.head().await;
    in_time(kept.rest()).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_its_upstream_let_go() {
    let (mut sender, handler) = streaming(&[("cache-control", "no-store")]);
    let stand = Stand::start(&IDLE, handler);
    let mut client = RawClient::connect(stand.gateway.addr()).await;
    client
        .send("GET /p HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await;
    client.head().await;
    let chunk = Bytes::from(vec![0; 1 << 20]);
    in_time(async { while sender.send_data(chunk.clone()).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_cut_off_though_its_connection_is_in_use() {
    let (mut sender, handler) = streaming(&[("cache-control", "no-store")]);
    let stand = Stand::start(&IDLE, handler);
    let client = stand.h2c();
    let request = Request::get("/p").body(body::empty()).unwrap();
    let _unread = client.try_send(request).await.unwrap();
    let chunk = Bytes::from(vec![0; 1 << 18]);
    let flood = async { while sender.send_data(chunk.clone()).await.is_ok() {} };
    let busy = async {
        loop {
            let request = Request::get("/q").body(body::empty()).unwrap();
            let _ = client.try_send(request).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    in_time(async {
        tokio::select! {
            () = flood => {}
            () = busy => {}
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_for_a_slow_upstream_is_not_idle() {
    let stand = Stand::start(&IDLE, async |_| {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        answer(&[], "late")
    });
    for client in [stand.client(), stand.h2c()] {
        assert_eq!(client.get("/p").await.text(), "late");
    }
}

#[tokio::test]
async fn a_tunnel_may_be_silent() {
    let gateway = super::stand::start(super::upgrades::echo_server().await, &IDLE);
    let mut client = super::upgrades::tunnel(&gateway).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.send("ping").await;
    assert_eq!(client.read(4).await, b"ping");
}

#[tokio::test]
async fn an_endless_cacheable_stream_ends_when_its_client_goes() {
    let (mut sender, handler) = streaming(&[("cache-control", "max-age=60")]);
    let stand = Stand::start(&["--max-body", "100000"], handler);
    let request = Request::get("/p").body(body::empty()).unwrap();
    let response = stand.client().try_send(request).await.unwrap();
    drop(response);
    let chunk = Bytes::from(vec![0; 1 << 16]);
    in_time(async { while sender.send_data(chunk.clone()).await.is_ok() {} }).await;
}
