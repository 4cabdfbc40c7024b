//! Streams that several clients read while they arrive.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use http_body_util::BodyExt;

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, ok, request, with},
};
use crate::harness::body::{self, Body};

on_all_stores!(
    a_stream_is_shared_from_its_first_byte,
    a_stream_outgrows_the_cache_at_the_pace_of_its_first_client,
    a_stream_goes_on_at_the_pace_of_the_fastest_once_its_first_client_left,
    a_client_that_falls_behind_a_stream_sees_an_error,
    a_response_can_be_reused_once_its_client_has_the_declared_length,
    a_body_longer_than_declared_is_not_kept,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A site whose first answer is a stream that the test sends; it may be stored.
fn streaming(stand: &Stand) -> (Site, body::BodySender) {
    let (sender, streamed) = body::stream();
    let streamed = Mutex::new(Some(streamed));
    let site = stand.site(move |_| {
        let response = match streamed.lock().unwrap().take() {
            Some(body) => with(&[FRESH], body),
            None => ok(&[FRESH], "later"),
        };
        async { Ok(response) }
    });
    (site, sender)
}

type Opened = Response<tower_keep::cache::CacheBody<Body>>;

async fn open(site: &Site) -> Opened {
    let opened = site.open(request("GET", "/", &[]));
    let opened = tokio::time::timeout(Duration::from_secs(5), opened).await;
    opened.expect("its head does not wait for its end").unwrap()
}

/// The next `length` bytes.
async fn read(response: &mut Opened, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        bytes.extend_from_slice(&frame.into_data().unwrap());
    }
    bytes
}

async fn a_stream_is_shared_from_its_first_byte(stand: Stand) {
    let (site, mut sender) = streaming(&stand);
    let mut first = open(&site).await;
    sender.send_data("one".into()).await.unwrap();
    assert_eq!(read(&mut first, 3).await, b"one");
    let mut second = open(&site).await;
    assert_eq!(read(&mut second, 3).await, b"one");
    sender.send_data("two".into()).await.unwrap();
    assert_eq!(read(&mut second, 3).await, b"two");
    assert_eq!(read(&mut first, 3).await, b"two");
    assert_eq!(site.hits(), 1);
}

const CHUNK: usize = 1000;

/// Sends `chunks` of a stream and says how many have gone.
fn send(mut sender: body::BodySender, chunks: usize) -> Arc<AtomicUsize> {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        for n in 0..chunks {
            let chunk = vec![b'a' + u8::try_from(n % 26).unwrap(); CHUNK];
            if sender.send_data(chunk.into()).await.is_err() {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    sent
}

/// What is on its way in the origin's channel, and a chunk that waits for room there.
const CHANNEL: usize = 18;

async fn a_stream_outgrows_the_cache_at_the_pace_of_its_first_client(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_body(4 * CHUNK as u64));
    let (site, sender) = streaming(&stand);
    let mut first = open(&site).await;
    let mut second = open(&site).await;
    let sent = send(sender, 100);
    let ahead = read(&mut second, 4 * CHUNK).await.len();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(sent.load(Ordering::Relaxed) <= CHANNEL + 8, "{sent:?}");
    let (of_first, of_second) = tokio::join!(read(&mut first, 100 * CHUNK), Reply::of(second));
    assert_eq!(of_first.len(), 100 * CHUNK);
    assert_eq!(of_second.unwrap().body.len(), 100 * CHUNK - ahead);
    assert!(first.body_mut().frame().await.is_none());
    assert_eq!(site.get("/").await.body, "later");
}

async fn a_stream_goes_on_at_the_pace_of_the_fastest_once_its_first_client_left(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_body(4 * CHUNK as u64));
    let (site, sender) = streaming(&stand);
    let mut first = open(&site).await;
    let mut second = open(&site).await;
    let sent = send(sender, 100);
    read(&mut first, 2 * CHUNK).await;
    drop(first);
    assert_eq!(read(&mut second, 100 * CHUNK).await.len(), 100 * CHUNK);
    assert!(second.body_mut().frame().await.is_none());
    assert_eq!(sent.load(Ordering::Relaxed), 100);
}

async fn a_client_that_falls_behind_a_stream_sees_an_error(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_body(4 * CHUNK as u64));
    let (site, sender) = streaming(&stand);
    let mut first = open(&site).await;
    let slow = open(&site).await;
    send(sender, 100);
    assert_eq!(read(&mut first, 100 * CHUNK).await.len(), 100 * CHUNK);
    Reply::of(slow).await.unwrap_err();
}

async fn a_response_can_be_reused_once_its_client_has_the_declared_length(stand: Stand) {
    let (mut sender, streamed) = body::stream();
    let streamed = Mutex::new(Some(streamed));
    let site = stand.site(move |_| {
        let lines = [
            ("cache-control", "max-age=1, stale-if-error=60"),
            ("content-length", "4"),
        ];
        let answer = match streamed.lock().unwrap().take() {
            Some(body) => Ok(with(&lines, body)),
            None => Err(std::io::ErrorKind::ConnectionRefused.into()),
        };
        async { answer }
    });
    let mut first = open(&site).await;
    sender.send_data("page".into()).await.unwrap();
    assert_eq!(read(&mut first, 4).await, b"page");
    // The origin has yet to end the body.
    let second = site.get("/").await;
    assert_eq!((&*second.body, second.is_hit()), ("page", true));
    // On Redis not by the stand, which waits until something is stored.
    if stand.is_redis() {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
    } else {
        stand.advance(Duration::from_secs(2)).await;
    }
    let third = site.get("/").await;
    assert_eq!((third.status, &*third.body), (200, "page"));
    let status = third.cache_status();
    assert!(status.contains("detail=stale-if-error"), "{status}");
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", "yes".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let rest = first.into_body().collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["x-end"], "yes");
}

async fn a_body_longer_than_declared_is_not_kept(stand: Stand) {
    let (mut sender, streamed) = body::stream();
    let streamed = Mutex::new(Some(streamed));
    let site = stand.site(move |_| {
        let response = match streamed.lock().unwrap().take() {
            Some(body) => with(&[FRESH, ("content-length", "4")], body),
            None => ok(&[FRESH], "later"),
        };
        async { Ok(response) }
    });
    let mut first = open(&site).await;
    sender.send_data("pag".into()).await.unwrap();
    assert_eq!(read(&mut first, 3).await, b"pag");
    sender.send_data("e and more".into()).await.unwrap();
    // What is more than was declared would be taken for the next response.
    first.body_mut().frame().await.unwrap().unwrap_err();
    assert_eq!(site.get("/").await.body, "later");
}
