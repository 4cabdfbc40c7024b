//! A caching, rate limiting reverse proxy on hyper.
//!
//! ```text
//! cargo run --release --example gateway -- --upstream http://127.0.0.1:3000 --limit '"burst";q=100;w=60'
//! ```

#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

mod body;
#[path = "../common/mod.rs"]
mod common;
mod flags;
#[path = "../common/limit.rs"]
mod limit;
mod problem;
mod server;
mod upstream;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};
use tower_keep::Store;

use body::{Body, RequestBody};
use flags::{Flags, Switch};
use problem::problem;
use upstream::{Upstream, UpstreamError};

/// All layers together; it always has an answer.
type Service = BoxCloneSyncService<Request<RequestBody>, Response<Body>, UpstreamError>;

#[tokio::main]
async fn main() -> Result<(), common::Error> {
    let flags: Flags = common::parse();
    common::log();
    let store = flags
        .common
        .store()
        .unwrap_or_else(|error| common::fail(&error));
    let service = service(&flags, &store).unwrap_or_else(|error| common::fail(&error));
    server::run(flags.common.bind().await?, service, store).await;
    Ok(())
}

/// The limit outside of the cache: a stored response shows its client's own limits.
fn service(flags: &Flags, store: &Store) -> Result<Service, String> {
    let upstream = Upstream::new(flags.upstream.clone(), &flags.cache_name)
        .map_err(|error| format!("--cache-name {}: {error}", flags.cache_name))?;
    let service = match flags.cache {
        Switch::On => {
            let cache = flags.cache_layer(store)?;
            BoxCloneSyncService::new(cache.layer(upstream).map_result(answered))
        }
        Switch::Off => BoxCloneSyncService::new(upstream.map_result(answered)),
    };
    Ok(match flags.limit_layer(store)? {
        Some(limit) => BoxCloneSyncService::new(limit.layer(service).map_response(boxed)),
        None => service,
    })
}

/// An upstream server without an answer is a 502 or 504 to the client.
fn answered<B>(result: Result<Response<B>, UpstreamError>) -> Result<Response<Body>, UpstreamError>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<common::Error>,
{
    Ok(match result {
        Ok(response) => boxed(response),
        Err(error) => {
            tracing::warn!(%error, "no answer from upstream");
            problem(error.status(), &error.to_string())
        }
    })
}

fn boxed<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<common::Error>,
{
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
