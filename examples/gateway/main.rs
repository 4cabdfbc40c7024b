//! A caching, rate limiting reverse proxy on hyper.
//!
//! ```text
//! cargo run --release --example gateway -- --upstream http://127.0.0.1:3000 --limit '"burst";q=100;w=60'
//! ```

#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

mod body;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod connector;
mod flags;
mod forwarding;
mod gateway;
mod hop_by_hop;
mod idle;
#[path = "../common/limit.rs"]
mod limit;
mod max_forwards;
mod problem;
mod purge;
mod server;
mod target;
mod tunnel;
mod upstream;

use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use tokio_util::task::TaskTracker;
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};
use tower_keep::{Store, cache::CacheLayer, health::Health};

use body::{Body, RequestBody};
use flags::{Flags, Switch};
use gateway::Gateway;
use problem::problem;
use purge::Purge;
use upstream::{Patience, Upstream, UpstreamError};

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
    let tunnels = TaskTracker::new();
    let cache = match flags.cache {
        Switch::On => Some(flags.cache_layer(&store)).transpose(),
        Switch::Off => Ok(None),
    };
    let cache = cache.unwrap_or_else(|error| common::fail(&error));
    let token = flags.purge_token.as_ref().zip(cache.as_ref());
    let purge = token.map(|(token, cache)| Purge::new(&token.0, cache.handle()));
    let service =
        service(&flags, &store, cache, &tunnels).unwrap_or_else(|error| common::fail(&error));
    let upstream = flags.upstream.authority().map_or("", |site| site.as_str());
    let gateway = Gateway {
        service,
        health: Health::new(store),
        purge,
        default_site: HeaderValue::try_from(upstream)?,
        trusted_hops: flags.trusted_hops,
        idle: flags.idle,
    };
    server::run(flags.common.bind().await?, gateway, tunnels, flags.drain).await;
    Ok(())
}

/// The limit outside of the cache: a stored response shows its client's own limits. What the
/// gateway adds to a request is added between the two.
fn service(
    flags: &Flags,
    store: &Store,
    cache: Option<CacheLayer>,
    tunnels: &TaskTracker,
) -> Result<Service, String> {
    let patience = Patience {
        head: flags.upstream_timeout,
        idle: flags.idle,
    };
    let (name, origin) = (flags.cache_name.clone(), flags.upstream.clone());
    let upstream = Upstream::new(origin, &name, patience, tunnels.clone());
    let sign = move |request| forwarding::sign(request, &name);
    let service = match cache {
        Some(cache) => {
            let cached = cache.layer(upstream).map_result(answered);
            BoxCloneSyncService::new(cached.map_request(sign))
        }
        None => BoxCloneSyncService::new(upstream.map_result(answered).map_request(sign)),
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
            if error.status().is_server_error() {
                tracing::warn!(%error, "no answer from upstream");
            }
            let mut response = problem(error.status(), &error.to_string());
            if matches!(error, UpstreamError::SlowUpload) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            response
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
