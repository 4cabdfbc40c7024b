//! The origin: answers of all kinds over both versions of HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::body::{self, Body, BodySender};
use super::super::client::Client;
use super::super::origin::Origin;

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(body::empty()).unwrap()
}

async fn text(text: &'static str) -> Response<Body> {
    Response::new(body::full(text))
}

/// An origin with one response, whose body the test sends frame by frame.
fn streaming() -> (BodySender, Origin) {
    let (sender, body) = body::stream();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    });
    (sender, origin)
}

#[tokio::test]
async fn an_origin_answers_from_its_closure_and_remembers_the_requests() {
    let origin = Origin::start(|request: Request<Incoming>| async move {
        let status = if request.uri().path() == "/a" {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        Response::builder()
            .status(status)
            .body(body::empty())
            .unwrap()
    });
    let client = Client::http1(origin.addr());
    assert_eq!(origin.hits(), 0);
    assert_eq!(client.get("/a").await.status, StatusCode::OK);
    assert_eq!(client.get("/b?q=1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(origin.hits(), 2);
    let requests = origin.requests();
    assert_eq!(requests[1].uri, "/b?q=1");
    assert_eq!(requests[1].headers["host"], origin.addr().to_string());
}

#[tokio::test]
async fn an_origin_speaks_both_versions_on_one_port() {
    let origin = Origin::start(|_| text("hello"));
    assert_eq!(Client::http1(origin.addr()).get("/").await.text(), "hello");
    assert_eq!(Client::h2c(origin.addr()).get("/").await.text(), "hello");
    let versions: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.version)
        .collect();
    assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]);
}

#[tokio::test]
async fn an_origin_reads_streamed_uploads() {
    let origin = Origin::start(|request: Request<Incoming>| async move {
        Response::new(request.into_body().map_err(io::Error::other).boxed())
    });
    let (mut sender, body) = body::stream();
    let request = Request::post("/").body(body).unwrap();
    let client = Client::http1(origin.addr());
    let upload = async {
        sender.send_data("one ".into()).await.unwrap();
        sender.send_data("two".into()).await.unwrap();
        drop(sender);
    };
    let (reply, ()) = tokio::join!(client.send(request), upload);
    assert_eq!(reply.text(), "one two");
}

#[tokio::test]
async fn an_origin_may_take_its_time() {
    let released = Arc::new(Notify::new());
    let gate = Arc::clone(&released);
    let origin = Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            text("late").await
        }
    });
    let client = Client::http1(origin.addr());
    let mut answer = std::pin::pin!(client.get("/"));
    assert!(
        timeout(Duration::from_millis(100), &mut answer)
            .await
            .is_err()
    );
    assert_eq!(origin.hits(), 1);
    released.notify_one();
    assert_eq!(answer.await.text(), "late");
}

#[tokio::test]
async fn a_paused_clock_does_not_stop_the_servers() {
    let origin = Origin::start(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        text("real time").await
    });
    tokio::time::pause();
    assert_eq!(
        Client::http1(origin.addr()).get("/").await.text(),
        "real time"
    );
}

#[tokio::test]
async fn a_stream_arrives_chunk_by_chunk_with_its_trailers() {
    let (mut sender, origin) = streaming();
    let client = Client::h2c(origin.addr());
    let mut body = client.try_send(get("/")).await.unwrap().into_body();
    for chunk in ["one", "two"] {
        sender.send_data(chunk.into()).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            chunk
        );
    }
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "6".parse().unwrap())]);
    sender.send_trailers(trailers.clone()).await.unwrap();
    drop(sender);
    assert_eq!(
        body.frame()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap(),
        trailers
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_origin_may_disconnect_in_the_middle_of_a_body() {
    let (mut sender, origin) = streaming();
    let client = Client::http1(origin.addr());
    let mut body = client.try_send(get("/")).await.unwrap().into_body();
    sender.send_data("half".into()).await.unwrap();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
    sender.abort(io::ErrorKind::ConnectionReset.into());
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_body_may_be_shorter_than_it_promised() {
    let origin = Origin::start(|_| async { body::short(10, "half") });
    let response = Client::http1(origin.addr())
        .try_send(get("/"))
        .await
        .unwrap();
    assert_eq!(response.headers()["content-length"], "10");
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_dropped_origin_refuses_connections() {
    let origin = Origin::start(|_| text("hello"));
    let client = Client::http1(origin.addr());
    client.get("/").await;
    drop(origin);
    let gone = async {
        while client.try_send(get("/")).await.is_ok() {
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(())
    };
    timeout(Duration::from_secs(5), gone)
        .await
        .unwrap()
        .unwrap();
}
