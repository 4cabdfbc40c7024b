//! What every server of the benchmark is made of, ours and the peers': the pages, and how they are served.

use std::{
    io::{Read as _, Write as _},
    net::Ipv4Addr,
};

use axum::{
    BoxError, Router, body::Body, response::Response, routing::get, serve::ListenerExt as _,
};
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use tokio::net::TcpListener;

/// Who the load says that it is: what limits count by.
pub(crate) const CLIENT: HeaderName = HeaderName::from_static("x-client");
/// 1 KiB that no cache may store.
pub(crate) const PAGE: &str = "/page";
/// 1 KiB that every cache may store.
pub(crate) const CACHEABLE: &str = "/cacheable";
/// Makes a session of [`USER`] whose number is 1.
pub(crate) const LOGIN: &str = "/login";
pub(crate) const USER: &str = "ada";
/// More in 100 seconds than any run can use up, so that all requests are admitted.
pub(crate) const QUOTA: u64 = 100_000_000;

/// The names of three limits.
pub(crate) const THREE: [&str; 3] = ["load", "minute", "hour"];

static BODY: [u8; 1024] = [b'x'; 1024];

pub(crate) fn page() -> Response {
    page_of(Body::from(&BODY[..]))
}

pub(crate) fn page_of(body: Body) -> Response {
    let mut response = Response::new(body);
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn cacheable() -> Response {
    let mut response = page();
    let control = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, control);
    response
}

/// The router that every layer is put around.
pub(crate) fn pages() -> Router {
    Router::new()
        .route(PAGE, get(async || page()))
        .route(CACHEABLE, get(async || cacheable()))
}

/// Says where it listens, and serves until the standard input ends, which it does with the process
/// that measures.
pub(crate) fn run(
    workers: usize,
    router: impl Future<Output = Result<Router, BoxError>> + Send + 'static,
) -> Result<(), BoxError> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    // A worker accepts, and not this thread, as the workers are what a server has.
    runtime.block_on(runtime.spawn(async {
        let router = router.await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    }))?
}
