//! A programmable HTTP server: what stands behind a gateway or a cache in the tests.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::background::Background;
use super::body::Body;
use super::port;

/// An HTTP/1.1 and h2c server on a loopback port of its own whose answers come from a closure.
///
/// Dropping it closes all connections.
pub(crate) struct Origin {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Parts>>>,
    _background: Background,
}

impl Origin {
    /// Answers every request by `handler`, which may take its time, stream, or break off (see [`super::body`]).
    pub(crate) fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = port::listen();
        let addr = listener.local_addr().expect("a listener has an address");
        let requests = Arc::<Mutex<Vec<Parts>>>::default();
        let background = Background::start();
        background.spawn(serve(listener, handler, Arc::clone(&requests)));
        Self {
            addr,
            requests,
            _background: background,
        }
    }

    /// Where the origin listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many requests have come.
    pub(crate) fn hits(&self) -> usize {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The heads of the requests so far, in the order they came.
    pub(crate) fn requests(&self) -> Vec<Parts> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve<H, F>(listener: std::net::TcpListener, handler: H, requests: Arc<Mutex<Vec<Parts>>>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream
            .set_nodelay(true)
            .expect("a fresh socket takes options");
        let (handler, requests) = (handler.clone(), Arc::clone(&requests));
        let service = service_fn(move |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(head.clone());
            let answer = handler(Request::from_parts(head, body));
            async { Ok::<_, Infallible>(answer.await) }
        });
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // Errors are what the tests provoke: clients that leave, bodies that break off.
            let _ = server
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}
