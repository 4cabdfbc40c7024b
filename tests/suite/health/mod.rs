//! Live and ready, as a load balancer asks.

mod failure;
mod routes;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use tower_keep::{Store, health::Health};

/// The status and the JSON of ready.
pub(crate) async fn ready(health: &Health) -> (StatusCode, Value) {
    let request = Request::get("/_health/ready").body(()).unwrap();
    let response = health.ready().oneshot(request).await.unwrap();
    (response.status(), json(response).await)
}

async fn json(response: Response<Full<Bytes>>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// A store that may take this long, over what is at `url`.
fn store(url: &str, deadline: Duration) -> Store {
    let config = tower_keep::StoreConfig::from_url(url).unwrap();
    config.with_deadline(deadline).build().unwrap()
}
