//! The server process of one contender.

use std::{
    io::{Read as _, Write as _},
    net::Ipv4Addr,
};

use deadpool_redis::{Config, Pool, PoolConfig, Runtime};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt as _};

use crate::{
    BoxError, by_hand,
    contender::{Contender, Way, Work},
    flags::{Serve, ServerFlags},
    layers::{self, Bare},
    page::RequestBody,
};

/// Serves until the standard input ends, which it does with the process that measures.
pub(crate) fn run(serve: &Serve) -> Result<(), BoxError> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = serve.flags.workers {
        runtime.worker_threads(workers as usize);
    }
    let runtime = runtime.enable_all().build()?;
    // A worker accepts, and not this thread, as the workers are what a server has.
    let serving = serve_contender(
        serve.contender,
        pool(&serve.redis_url, &serve.flags)?,
        serve.redis_url.clone(),
    );
    runtime.block_on(runtime.spawn(serving))?
}

async fn serve_contender(
    Contender { work, way }: Contender,
    pool: Pool,
    redis_url: String,
) -> Result<(), BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    match way {
        Way::Naive => by_hand::serve(listener, by_hand::Checkout(pool), work).await,
        Way::Shared => {
            let connections = by_hand::Shared::connect(&redis_url).await?;
            by_hand::serve(listener, connections, work).await
        }
        Way::Ours | Way::OursMemory => {
            let store = match way {
                Way::Ours => layers::store(pool),
                _ => tower_keep::Store::memory(),
            };
            match work {
                Work::Bare => accept(listener, Bare).await,
                Work::Limit => accept(listener, layers::limit(store, Bare)?).await,
                Work::Session => accept(listener, layers::session(store, Bare)).await,
                Work::Cache => accept(listener, layers::cache(store)).await,
                Work::All => {
                    let cache = layers::cache(store.clone());
                    let session = layers::session(store.clone(), cache);
                    accept(listener, layers::limit(store, session)?).await
                }
            }
        }
    }
}

/// A pool as its documentation sets it up.
fn pool(url: &str, flags: &ServerFlags) -> Result<Pool, BoxError> {
    let mut config = Config::from_url(url);
    config.pool = flags.pool_size.map(|size| PoolConfig::new(size as usize));
    Ok(config.create_pool(Some(Runtime::Tokio1))?)
}

/// Serves HTTP/1.1 with keep-alive.
pub(crate) async fn accept<S, B>(listener: TcpListener, service: S) -> Result<(), BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let service =
        service.map_request(|request: Request<Incoming>| request.map(|_| RequestBody::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // The load sees the connection end, and says so.
                let _ = writeln!(std::io::stderr(), "a connection failed: {error:?}");
            }
        });
    }
}
