//! Clients of unsafe requests that close their connections, and many of them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::stand::{Site, Stand, eventually, ok, request};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// Serves a site over HTTP/1.1.
async fn serve(site: Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let site = site.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let site = site.clone();
                async move {
                    let (mut parts, body) = request.into_parts();
                    parts.uri = format!("http://site.example{}", parts.uri).parse().unwrap();
                    let body = body.collect().await.unwrap().to_bytes();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    let response = site.open(Request::from_parts(parts, body)).await.unwrap();
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    addr
}

#[tokio::test]
async fn a_connection_that_closes_before_the_answer_does_not_end_the_handler() {
    let stand = Stand::redis().await;
    let (begun, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let version = Arc::<AtomicUsize>::default();
    let (said, waited, changed) = (begun.clone(), go.clone(), version.clone());
    let site = stand.site(move |request: Request<String>| {
        let (begun, go, version) = (said.clone(), waited.clone(), changed.clone());
        async move {
            if request.method() == Method::POST {
                begun.notify_one();
                go.notified().await;
                version.fetch_add(1, Ordering::SeqCst);
            }
            Ok(ok(&[FRESH], version.load(Ordering::SeqCst).to_string()))
        }
    });
    let addr = serve(site.clone()).await;
    assert_eq!(site.get("/").await.body, "0");
    let mut client = TcpStream::connect(addr).await.unwrap();
    let post = b"POST / HTTP/1.1\r\nhost: site.example\r\ncontent-length: 1\r\n\r\nx";
    client.write_all(post).await.unwrap();
    begun.notified().await;
    drop(client);
    // The server has noticed once it takes another connection and answers there.
    let mut other = TcpStream::connect(addr).await.unwrap();
    let get = b"GET / HTTP/1.1\r\nhost: site.example\r\nconnection: close\r\n\r\n";
    other.write_all(get).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
    go.notify_one();
    eventually(|| version.load(Ordering::SeqCst) == 1).await;
    eventually(|| stand.server().keys("*:cache:*").is_empty()).await;
    assert_eq!(site.get("/").await.body, "1");
}

/// Counts the requests that the origin is working at.
struct Working(Arc<AtomicUsize>);

impl Working {
    fn at(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn clients_that_leave_hanging_posts_leave_bounded_work_for_bounded_time() {
    let stand = Stand::memory();
    let working = Arc::<AtomicUsize>::default();
    let count = working.clone();
    let site = stand.site(move |request: Request<String>| {
        let working = Working::at(&count);
        async move {
            if request.method() == Method::POST {
                std::future::pending::<()>().await;
            }
            drop(working);
            Ok(ok(&[FRESH], "page"))
        }
    });
    site.get("/").await;
    site.get("/other").await;
    for n in 0..1_000 {
        let post = tokio::spawn({
            let site = site.clone();
            async move { site.open(request("POST", "/", &[])).await }
        });
        while working.load(Ordering::SeqCst) == n.min(256) {
            tokio::task::yield_now().await;
        }
        post.abort();
        assert!(post.await.unwrap_err().is_cancelled());
    }
    eventually(|| working.load(Ordering::SeqCst) == 256).await;
    // Of those that were dropped nobody knows what they have done.
    assert!(!site.get("/").await.is_hit());
    assert!(site.get("/").await.is_hit());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(working.load(Ordering::SeqCst), 0);
    assert!(!site.get("/").await.is_hit());
    assert!(site.get("/other").await.is_hit());
}
