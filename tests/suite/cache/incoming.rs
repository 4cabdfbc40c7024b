//! Bodies of requests that have no `Default`: hyper's `Incoming` and tonic's.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{Store, cache::CacheLayer};

use crate::harness::{body, client::Client};

/// A bare hyper server whose service is the layer around `origin`.
async fn serve<F, A>(layer: CacheLayer, origin: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let inner = service_fn(move |request| {
        let response = origin(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let service = layer.layer(inner);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    addr
}

fn response(lines: &[(&str, &str)], content: String) -> Response<Full<Bytes>> {
    let mut response = Response::builder();
    for (name, value) in lines {
        response = response.header(*name, *value);
    }
    response.body(Full::from(content)).unwrap()
}

#[tokio::test]
async fn a_bare_hyper_server_is_cached_over_http_1_and_2() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let addr = serve(CacheLayer::new(Store::memory()), move |request| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            let content = format!("{number} {}", String::from_utf8_lossy(&sent));
            response(&[("cache-control", "max-age=60")], content)
        }
    })
    .await;
    for client in [Client::http1(addr), Client::h2c(addr)] {
        for _ in 0..3 {
            assert_eq!(&*client.get("/").await.body, b"0 ");
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // Content is no part of the key.
    let client = Client::http1(addr);
    let mut with_content = Request::get("/");
    with_content = with_content.header("content-length", 3);
    let with_content = with_content.body(body::full("abc")).unwrap();
    assert_eq!(&*client.send(with_content).await.body, b"1 abc");
    assert_eq!(&*client.get("/").await.body, b"0 ");
}

/// An origin whose 304 is about another representation than the stored one.
async fn contradicting(request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.headers().contains_key("if-none-match") {
        let mut response = response(&[("etag", "\"other\"")], String::new());
        *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        return response;
    }
    let lines = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    response(&lines, "body".to_owned())
}

#[tokio::test]
async fn without_a_second_body_a_304_that_fits_nothing_is_a_502_once() {
    let addr = serve(CacheLayer::new(Store::memory()), contradicting).await;
    let client = Client::http1(addr);
    assert_eq!(client.get("/").await.status, 200);
    let reload = Request::get("/").header("cache-control", "no-cache");
    let reload = reload.body(body::empty()).unwrap();
    let reply = client.send(reload).await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    // What it was about is gone, and the next one is answered.
    let reply = client.get("/").await;
    assert_eq!(
        reply.headers["cache-status"],
        "tower-keep; fwd=uri-miss; fwd-status=200; stored"
    );
}

#[tokio::test]
async fn with_a_way_to_make_a_body_the_inner_service_is_asked_again() {
    #[derive(Debug)]
    struct Foreign(Option<&'static str>);
    impl http_body::Body for Foreign {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Ready(
                self.0
                    .take()
                    .map(|text| Ok(http_body::Frame::data(text.into()))),
            )
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }
    }
    let layer = CacheLayer::new(Store::memory()).with_empty_body(|| Foreign(None));
    let inner = service_fn(|request: Request<Foreign>| async move {
        if request.headers().contains_key("if-none-match") {
            return Ok(Response::builder().status(304).header("etag", "\"other\""));
        }
        let content = request.into_body().0.unwrap_or("none");
        Ok::<_, Infallible>(
            Response::builder()
                .header("cache-control", "max-age=60")
                .header("etag", "\"a\"")
                .header("content", content),
        )
    });
    let inner = inner.map_response(|builder| builder.body(Full::<Bytes>::default()).unwrap());
    let service = layer.layer(inner);
    let get = |line: (&str, &str), content| {
        let request = Request::get("http://a/").header(line.0, line.1);
        service
            .clone()
            .oneshot(request.body(Foreign(content)).unwrap())
    };
    let plain = ("x", "");
    let first = get(plain, None).await.unwrap();
    assert!(
        first.headers()["cache-status"]
            .to_str()
            .unwrap()
            .ends_with("stored")
    );
    drop(first.into_body().collect().await.unwrap());
    let reload = get(("cache-control", "no-cache"), None).await.unwrap();
    assert_eq!(
        (reload.status(), &reload.headers()["content"]),
        (
            200.try_into().unwrap(),
            &"none".parse::<http::HeaderValue>().unwrap()
        )
    );
    // Content that no field declares is seen too.
    let with_content = get(plain, Some("content")).await.unwrap();
    assert_eq!(
        with_content.headers()["cache-status"],
        "tower-keep; fwd=bypass; fwd-status=200"
    );
}

#[tokio::test]
async fn grpc_passes_untouched_with_tonics_body() {
    type Body = tonic::body::Body;
    let layer = CacheLayer::new(Store::memory());
    let inner = service_fn(|request: Request<Body>| async move {
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let (mut sender, body) = body::stream();
        sender.send_data(sent).await.unwrap();
        sender.send_trailers(trailers).await.unwrap();
        let body = Body::new(body);
        let response = Response::builder().header("content-type", "application/grpc");
        Ok::<_, Infallible>(response.body(body).unwrap())
    });
    let service = layer.layer(inner);
    for message in ["first", "second"] {
        let request = Request::post("http://a/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .body(Body::new(Full::from(message)))
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), message);
    }
}
