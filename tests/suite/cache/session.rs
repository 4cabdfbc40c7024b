//! Responses that a session has gone into.

use std::{
    convert::Infallible,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_keep::{
    cache::CacheLayer,
    session::{Session, SessionLayer},
};

use super::{
    on_all_stores,
    stand::{Stand, request},
};

on_all_stores!(a_response_whose_handler_read_the_session_is_nobody_elses,);

/// `/public` and `/read` read the session, the others leave it alone.
async fn handler(
    request: Request<String>,
    hits: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    hits.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path();
    if path != "/unused" {
        let session = request.extensions().get::<Session>().unwrap();
        session.get::<String>("user").await.unwrap();
    }
    let cache_control = if path == "/public" {
        "public, max-age=60"
    } else {
        "max-age=60"
    };
    let response = Response::builder().header("cache-control", cache_control);
    Ok(response.body(Full::from("body")).unwrap())
}

/// How often the origin is asked, for two requests each.
async fn hits<S, B>(service: S, hits: &AtomicUsize) -> Vec<usize>
where
    S: Service<Request<String>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let mut counts = Vec::new();
    for path in ["/unused", "/read", "/public"] {
        let before = hits.load(Ordering::Relaxed);
        for _ in 0..2 {
            // A session that exists, as far as the cookie says.
            let lines = [("cookie", "id=AAAAAAAAAAAAAAAAAAAAAA")];
            drop(
                service
                    .clone()
                    .oneshot(request("GET", path, &lines))
                    .await
                    .unwrap(),
            );
        }
        counts.push(hits.load(Ordering::Relaxed) - before);
    }
    counts
}

async fn a_response_whose_handler_read_the_session_is_nobody_elses(stand: Stand) {
    let count = Arc::new(AtomicUsize::new(0));
    let inner = {
        let count = count.clone();
        service_fn(move |request| handler(request, count.clone()))
    };
    let sessions = SessionLayer::new(stand.store.clone());
    let inside = sessions.layer(stand.layer.layer(inner.clone()));
    assert_eq!(hits(inside, &count).await, [1, 2, 1]);
    let partitioned = CacheLayer::new(stand.store.clone()).with_partition(|_| Some(b"2".to_vec()));
    let outside = partitioned.layer(sessions.layer(inner));
    let counts = hits(outside, &count).await;
    assert_eq!(counts[..2], [1, 2]);
}
