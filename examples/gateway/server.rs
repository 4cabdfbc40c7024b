//! Takes connections, HTTP/1.1 and h2c, until it is told to stop, and gives what is under way
//! then its time.

use std::{net::SocketAddr, pin::pin, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{client::Client, common::Bound, gateway::Gateway};

/// How long a connection that was asked to end may take without a request.
const FAREWELL: Duration = Duration::from_secs(1);

/// What may wait for a client that does not read, and the longest head of an HTTP/1.1 request. hyper's
/// own 400 KiB are a lot for a thousand such clients.
const BUFFER: usize = 64 << 10;

/// `under_way` holds the tunnels, and here the connections too; they have `drain` to end once the
/// program is told to stop.
pub async fn run(bound: Bound, gateway: Gateway, under_way: TaskTracker, drain: Duration) {
    let Bound { listener, stop } = bound;
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
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
        under_way.spawn(serve(stream, peer, gateway.clone(), stop.clone()));
    }
    drop(listener);
    under_way.close();
    if tokio::time::timeout(drain, under_way.wait()).await.is_err() {
        tracing::warn!("stopped with requests under way");
    }
}

/// Serves one connection to its end, or until its client keeps it waiting too long.
async fn serve(stream: TcpStream, peer: SocketAddr, gateway: Gateway, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let (client, idle) = (Client::new(), gateway.idle);
    let service = {
        let client = client.clone();
        hyper::service::service_fn(move |request| {
            gateway.clone().respond(request, peer, client.request())
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(BUFFER);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(client.watch(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                // hyper itself would wait for the rest of a head.
                () = client.overdue(idle, FAREWELL) => return,
            }
        }
        () = client.overdue(idle, idle) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(FAREWELL, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
