//! Takes connections, HTTP/1.1 and h2c, until it is told to stop; answers for its own health.

use std::{net::SocketAddr, time::Duration};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_keep::{PeerAddr, Store};

use crate::{
    Body, RequestBody, Service, common,
    problem::{json_response, problem},
    upstream::UpstreamError,
};

/// How long requests under way may take once the program is told to stop.
const GRACE: Duration = Duration::from_secs(10);

pub async fn run(listener: TcpListener, service: Service, store: Store) {
    let connections = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(common::stopped());
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, say: connections that end make room.
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let (service, store) = (service.clone(), store.clone());
        let service = hyper::service::service_fn(move |request| {
            respond(service.clone(), store.clone(), peer, request)
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder.http2().timer(TokioTimer::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped with requests under way");
    }
}

async fn respond(
    service: Service,
    store: Store,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, UpstreamError> {
    if let Some(response) = health(&store, request.method(), request.uri().path()).await {
        return Ok(response);
    }
    request.extensions_mut().insert(PeerAddr(peer));
    service
        .oneshot(request.map(|body| RequestBody(Some(body))))
        .await
}

/// The gateway's own health, never limited and never cached.
async fn health(store: &Store, method: &Method, path: &str) -> Option<Response<Body>> {
    let ready = match path {
        "/_health/live" => false,
        "/_health/ready" => true,
        _ => return None,
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(problem(StatusCode::METHOD_NOT_ALLOWED, "health is for GET"));
    }
    if !ready {
        return Some(json_response(
            StatusCode::OK,
            &serde_json::json!({"status": "live"}),
        ));
    }
    let (status, word) = match store.ping().await {
        Ok(()) if store.refusals().is_empty() => (StatusCode::OK, "ready"),
        Ok(()) => (StatusCode::OK, "degraded"),
        Err(error) => {
            tracing::debug!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    };
    let json = serde_json::json!({
        "status": word,
        "store": format!("{:?}", store.state()).to_lowercase(),
        "refused": store.refusals().iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
    });
    Some(json_response(status, &json))
}
