//! Bodies on their way: early, long, broken, untouched.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, ok, request, with},
};
use crate::harness::body::{self, BodySender};

on_all_stores!(
    the_first_byte_does_not_wait_for_the_last,
    a_short_body_is_an_error_and_is_not_stored,
    a_body_that_breaks_off_is_an_error_and_is_not_stored,
    a_body_over_the_limit_passes_whole_at_the_pace_of_its_client,
    a_declared_length_over_the_limit_is_not_even_tried,
    the_body_of_a_client_that_left_is_stored_all_the_same,
    a_response_is_reusable_right_after_its_last_byte,
    trailers_pass,
    an_event_stream_passes_as_it_comes,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A site whose first answer has the body that the test sends, and later ones `later`.
fn streaming(stand: &Stand, lines: &'static [(&'static str, &'static str)]) -> (Site, BodySender) {
    let (sender, streamed) = body::stream();
    let streamed = Mutex::new(Some(streamed));
    let site = stand.site(move |_| {
        let first = streamed.lock().unwrap().take();
        let response = match first {
            Some(body) => with(lines, body),
            None => ok(&[FRESH], "later"),
        };
        async { Ok(response) }
    });
    (site, sender)
}

async fn next(
    body: &mut (impl http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin),
) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

async fn the_first_byte_does_not_wait_for_the_last(stand: Stand) {
    let (site, mut sender) = streaming(&stand, &[FRESH]);
    let mut response = site.open(request("GET", "/", &[])).await.unwrap();
    sender.send_data("one ".into()).await.unwrap();
    assert_eq!(next(response.body_mut()).await, "one ");
    sender.send_data("two".into()).await.unwrap();
    assert_eq!(next(response.body_mut()).await, "two");
    drop(sender);
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(site.get("/").await.body, "one two");
}

async fn a_short_body_is_an_error_and_is_not_stored(stand: Stand) {
    let lines = &[FRESH, ("content-length", "10")];
    let (site, mut sender) = streaming(&stand, lines);
    let response = site.open(request("GET", "/", &[])).await.unwrap();
    sender.send_data("short".into()).await.unwrap();
    drop(sender);
    Reply::of(response).await.unwrap_err();
    assert_eq!(site.get("/").await.body, "later");
}

async fn a_body_that_breaks_off_is_an_error_and_is_not_stored(stand: Stand) {
    let (site, mut sender) = streaming(&stand, &[FRESH]);
    let response = site.open(request("GET", "/", &[])).await.unwrap();
    sender.send_data("half".into()).await.unwrap();
    sender.abort(io::Error::other("the origin died"));
    let error = Reply::of(response).await.unwrap_err();
    assert!(error.to_string().contains("the origin died"), "{error}");
    assert_eq!(site.get("/").await.body, "later");
}

async fn a_body_over_the_limit_passes_whole_at_the_pace_of_its_client(stand: Stand) {
    const CHUNK: usize = 1000;
    let stand = stand.with(|layer| layer.with_max_body(4 * CHUNK as u64));
    let (site, mut sender) = streaming(&stand, &[FRESH]);
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let origin = tokio::spawn(async move {
        for _ in 0..100 {
            sender
                .send_data(Bytes::from(vec![b'x'; CHUNK]))
                .await
                .unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let response = site.open(request("GET", "/", &[])).await.unwrap();
    assert_eq!(response.status(), 200);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    // The limit twice, and what is on its way in the origin's channel of 16.
    assert!(
        sent.load(Ordering::Relaxed) <= 30,
        "{sent:?} chunks in memory"
    );
    assert_eq!(Reply::of(response).await.unwrap().body.len(), 100 * CHUNK);
    origin.await.unwrap();
    assert_eq!(site.get("/").await.body, "later");
}

async fn a_declared_length_over_the_limit_is_not_even_tried(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_body(4));
    let site = stand.counting(&[FRESH]);
    assert_eq!(site.get("/").await.body, "1");
    assert!(site.get("/").await.is_hit());
    let long = stand.site(|_| async { Ok(ok(&[FRESH], "12345")) });
    let reply = long.get("/long").await;
    assert_eq!(
        reply.cache_status(),
        "fwd=uri-miss; fwd-status=200; detail=too-long"
    );
    assert_eq!(reply.body, "12345");
}

async fn the_body_of_a_client_that_left_is_stored_all_the_same(stand: Stand) {
    let (site, mut sender) = streaming(&stand, &[FRESH]);
    drop(site.open(request("GET", "/", &[])).await.unwrap());
    sender.send_data("whole".into()).await.unwrap();
    drop(sender);
    assert_eq!(site.get("/").await.body, "whole");
    assert_eq!(site.hits(), 1);
}

async fn a_response_is_reusable_right_after_its_last_byte(stand: Stand) {
    let site = stand.counting(&[FRESH, ("vary", "x")]);
    for n in 0..50 {
        let path = format!("/{n}");
        site.get(&path).await;
        assert!(site.get(&path).await.is_hit(), "{path}");
    }
}

async fn trailers_pass(stand: Stand) {
    for lines in [&[FRESH][..], &[("cache-control", "no-store")]] {
        let (site, mut sender) = streaming(&stand, lines);
        let response = site.open(request("GET", "/t", &[])).await.unwrap();
        sender.send_data("data".into()).await.unwrap();
        let trailers: HeaderMap = [("grpc-status".parse().unwrap(), "0".parse().unwrap())]
            .into_iter()
            .collect();
        sender.send_trailers(trailers.clone()).await.unwrap();
        drop(sender);
        let reply = Reply::of(response).await.unwrap();
        assert_eq!((&*reply.body, reply.trailers), ("data", Some(trailers)));
        site.send("DELETE", "/t", &[]).await;
    }
}

async fn an_event_stream_passes_as_it_comes(stand: Stand) {
    let lines = &[
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
    ];
    let (site, mut sender) = streaming(&stand, lines);
    let mut response = site.open(request("GET", "/", &[])).await.unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send_data(event.into()).await.unwrap();
        assert_eq!(next(response.body_mut()).await, event);
    }
}
