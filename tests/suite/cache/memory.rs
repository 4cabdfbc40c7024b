//! What the bytes of a response keep in memory, and what shows them.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt;
use tower::{Layer, Service};
use tower_keep::{Store, cache::CacheLayer};

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, eventually, ok, request, with},
};
use crate::harness::body;

on_all_stores!(
    what_is_stored_pins_no_read_buffer,
    what_is_being_stored_pins_no_read_buffer,
    what_cannot_fit_is_not_said_to_be_stored,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A read buffer of which a message is a slice, and whether it is still in memory.
fn read_buffer(content: &'static [u8]) -> (Bytes, Weak<Vec<u8>>) {
    struct Owner(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let mut buffer = content.to_vec();
    buffer.resize(1 << 20, b' ');
    let buffer = Arc::new(buffer);
    let alive = Arc::downgrade(&buffer);
    (
        Bytes::from_owner(Owner(buffer)).slice(..content.len()),
        alive,
    )
}

fn is_gone(buffer: &Weak<Vec<u8>>) -> bool {
    buffer.strong_count() == 0
}

async fn what_is_stored_pins_no_read_buffer(stand: Stand) {
    let (content, of_body) = read_buffer(b"body");
    let (field, of_head) = read_buffer(b"value");
    let response = std::sync::Mutex::new(Some((content, field)));
    let site = stand.site(move |_| {
        let (content, field) = response.lock().unwrap().take().expect("one request");
        let mut response = ok(&[FRESH], content);
        let field = HeaderValue::from_maybe_shared(field).unwrap();
        response.headers_mut().insert("x", field);
        async { Ok(response) }
    });
    assert_eq!(site.get("/").await.body, "body");
    let reply = site.get("/").await;
    assert!(reply.is_hit() && reply.field("x") == ["value"]);
    drop(reply);
    eventually(|| is_gone(&of_body) && is_gone(&of_head)).await;
    assert!(site.get("/").await.is_hit());
}

async fn what_is_being_stored_pins_no_read_buffer(stand: Stand) {
    let (sender, streamed) = body::stream();
    let (mut sender, streamed) = (sender, std::sync::Mutex::new(Some(streamed)));
    let site = stand.site(move |_| {
        let response = with(&[FRESH], streamed.lock().unwrap().take().unwrap());
        async { Ok(response) }
    });
    let mut response = site.open(request("GET", "/", &[])).await.unwrap();
    for _ in 0..3 {
        let (content, buffer) = read_buffer(b"a");
        sender.send_data(content).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "a");
        eventually(|| is_gone(&buffer)).await;
    }
    drop(sender);
    drop(Reply::of(response).await.unwrap());
    assert_eq!(site.get("/").await.body, "aaa");
}

async fn what_cannot_fit_is_not_said_to_be_stored(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_body(64 << 20));
    let site = stand.site(|request: http::Request<String>| {
        let length = request.uri().path()[1..].parse().unwrap();
        let response = ok(&[FRESH], vec![b'x'; length]);
        async { Ok(response) }
    });
    // The shares of the memory store hold 8 MiB each.
    for length in [9 << 20, (8 << 20) - 100, (8 << 20) - 4096] {
        let path = format!("/{length}");
        let first = site.get(&path).await;
        assert_eq!(first.body.len(), length);
        let stored = first.cache_status().contains("stored");
        assert_eq!(
            site.get(&path).await.is_hit(),
            stored,
            "{first:?}",
            first = first.cache_status()
        );
        if !stored {
            assert!(first.cache_status().ends_with("detail=too-long"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn debug_output_shows_nothing_of_a_response() {
    const SECRET: &str = "s3cr3t";
    // `{:?}` of bytes writes a slice of text or of numbers.
    let numbers = format!("{:?}", SECRET.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']).to_owned();
    let shows = |debug: String| debug.contains(SECRET) || debug.contains(&numbers);
    let layer = CacheLayer::new(Store::memory());
    let (sender, streamed) = body::stream();
    let (mut sender, streamed) = (sender, std::sync::Mutex::new(Some(streamed)));
    let origin = super::stand::Origin::new(move |_| {
        let lines = [FRESH, ("x", SECRET)];
        let response = match streamed.lock().unwrap().take() {
            Some(body) => with(&lines, body),
            None => ok(&lines, SECRET),
        };
        async { Ok(response) }
    });
    let mut service = layer.layer(origin.clone());
    let site = Site::of(&layer, origin);
    let path = format!("/{SECRET}");
    let arriving = site.open(request("GET", &path, &[("cookie", SECRET)]));
    let arriving = arriving.await.unwrap();
    sender.send_data(SECRET.into()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let future = service.call(request("GET", &path, &[("authorization", SECRET)]));
    for debug in [
        format!("{layer:?}"),
        format!("{:?}", arriving.body()),
        format!("{future:?}"),
        format!("{:?}", layer.layer(())),
    ] {
        assert!(!shows(debug.clone()), "{debug}");
    }
    drop(sender);
    drop(Reply::of(arriving).await.unwrap());
    let stored = site.open(request("GET", &path, &[])).await.unwrap();
    assert!(
        stored.headers()["cache-status"]
            .to_str()
            .unwrap()
            .contains("hit")
    );
    let passed = request("GET", "/other", &[("cache-control", "no-store")]);
    let passed = site.open(passed).await.unwrap();
    for debug in [
        format!("{layer:?}"),
        format!("{:?}", stored.body()),
        format!("{:?}", passed.body()),
    ] {
        assert!(!shows(debug.clone()), "{debug}");
    }
}
