//! What is under way when the gateway is told to stop.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt as _;

use super::{
    stand::{Stand, answer, page, start},
    upgrades,
};
use crate::harness::{body, raw::RawClient};

#[tokio::test]
async fn requests_under_way_come_to_their_end() {
    let mut stand = Stand::start(&[], async |_: Request<_>| {
        tokio::time::sleep(Duration::from_millis(700)).await;
        answer(&[], "late")
    });
    let (one, two) = (stand.client(), stand.h2c());
    let asked = async { tokio::join!(one.get("/1"), two.get("/2")) };
    let stopped = async {
        while stand.origin.hits() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stand.gateway.signal();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            tokio::net::TcpStream::connect(stand.gateway.addr())
                .await
                .is_err()
        );
    };
    let ((one, two), ()) = tokio::join!(asked, stopped);
    assert_eq!((one.text(), two.text()), ("late", "late"));
    assert_eq!(stand.gateway.terminate(), Some(0));
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_after_the_time_for_draining() {
    let (mut sender, stream) = body::stream();
    let stream = std::sync::Arc::new(std::sync::Mutex::new(Some(stream)));
    let mut stand = Stand::start(&["--drain", "1"], move |_| {
        let body = stream.lock().unwrap().take().unwrap();
        async move { http::Response::new(body) }
    });
    let request = Request::get("/").body(body::empty()).unwrap();
    let response = stand.client().try_send(request).await.unwrap();
    sender.send_data("first".into()).await.unwrap();
    let told = Instant::now();
    assert_eq!(stand.gateway.terminate(), Some(0));
    let took = told.elapsed();
    assert!(
        took >= Duration::from_millis(950) && took < Duration::from_secs(8),
        "{took:?}"
    );
    assert!(
        response.into_body().collect().await.is_err(),
        "a cut is no clean end"
    );
}

#[tokio::test]
async fn a_tunnel_lives_on_while_there_is_time_and_is_then_closed() {
    let mut gateway = start(upgrades::echo_server().await, &["--drain", "2"]);
    let mut client = upgrades::tunnel(&gateway).await;
    gateway.signal();
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.send("ping").await;
    assert_eq!(client.read(4).await, b"ping");
    assert_eq!(client.rest().await, "");
    assert_eq!(gateway.terminate(), Some(0));
}

#[tokio::test]
async fn a_tunnel_that_ends_ends_the_wait_for_it() {
    let mut gateway = start(upgrades::echo_server().await, &["--drain", "15"]);
    let client = upgrades::tunnel(&gateway).await;
    let told = Instant::now();
    gateway.signal();
    drop(client);
    // Not on this thread: the other end of the tunnel lives on it.
    let ended = tokio::task::spawn_blocking(move || gateway.terminate());
    assert_eq!(ended.await.unwrap(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let mut stand = Stand::start(&["--drain", "15"], page);
    let (one, two) = (stand.client(), stand.h2c());
    one.get("/").await;
    two.get("/").await;
    let _silent = RawClient::connect(stand.gateway.addr()).await;
    let mut half = RawClient::connect(stand.gateway.addr()).await;
    half.send("GET / HT").await;
    let told = Instant::now();
    assert_eq!(stand.gateway.terminate(), Some(0));
    assert!(
        told.elapsed() < Duration::from_secs(8),
        "{:?}",
        told.elapsed()
    );
}
