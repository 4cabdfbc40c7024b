//! The gateway's own health, never limited and never cached.

use http::{Method, Response, StatusCode};
use tower_keep::Store;

use crate::{
    Body,
    problem::{json_response, problem},
};

/// The answer, if it is health that is asked for.
pub async fn health(store: &Store, method: &Method, path: &str) -> Option<Response<Body>> {
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
