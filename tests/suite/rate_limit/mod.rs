//! Rate limits: the arithmetic of both halves, the layer over embedded memory and over Redis.

mod arithmetic;
mod bans;
mod blocks;
mod cached;
mod clocks;
mod concurrency;
mod configuration;
mod cost;
mod denials;
mod exactness;
mod fields;
mod forgotten_scripts;
mod grpc;
mod halves;
mod joint;
mod joint_layer;
mod keys;
mod limiter;
mod peers;
mod processes;
mod quotas;
mod session_user;
mod settlement;
mod shadow;
mod sliding;
mod stand;
mod store_failure;
mod tower_contract;
mod two_processes;
mod unknown_peers;
mod waiting;

use std::convert::Infallible;
use std::fmt::Debug;
use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Builder;
use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};
use tower_keep::rate_limit::{QuotaPolicy, RateLimitLayer};
use tower_keep::{PeerAddr, ResponseBody, Store, StoreConfig};

use crate::harness::redis::RedisServer;

type Body = Full<Bytes>;

/// A service that answers every request with 200, behind a layer.
type Limited = BoxCloneSyncService<Request<Body>, Response<ResponseBody<Body>>, Infallible>;

fn policy(item: &str) -> QuotaPolicy {
    item.parse().unwrap()
}

/// A layer over embedded memory.
fn in_memory(item: &str) -> RateLimitLayer {
    RateLimitLayer::new(Store::memory(), policy(item))
}

/// A store as another process would have it: with a pool of its own. Patient, for a machine that is busy with tests.
fn store(redis: &RedisServer) -> Store {
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let patience = std::time::Duration::from_secs(5);
    config.with_deadline(patience).build().unwrap()
}

fn limited(layer: &RateLimitLayer) -> Limited {
    around(layer, |_| Response::default())
}

/// A layer around a handler.
fn around<F>(layer: &RateLimitLayer, handler: F) -> Limited
where
    F: Fn(Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static,
{
    let inner = tower::service_fn(move |request| {
        let response = handler(request);
        async { Ok(response) }
    });
    BoxCloneSyncService::new(layer.layer(inner))
}

/// A request from an address.
fn from(peer: &str) -> Builder {
    let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
    Request::builder().extension(PeerAddr(peer))
}

/// What came back, with the body read.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
}

impl Reply {
    /// All lines of a field.
    fn field(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    }

    fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get("retry-after")?;
        Some(value.to_str().unwrap().parse().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn send<B>(
    service: &BoxCloneSyncService<Request<Body>, Response<B>, Infallible>,
    request: Builder,
) -> Reply
where
    B: http_body::Body<Error: Debug>,
{
    let mut service = service.clone();
    let request = request.body(Body::default()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        extensions: parts.extensions,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// A request from the same address as all others without one.
async fn request(service: &Limited) -> Reply {
    send(service, from("192.0.2.1")).await
}

/// The statuses of `count` equal requests.
async fn statuses(service: &Limited, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(request(service).await.status.as_u16());
    }
    statuses
}
