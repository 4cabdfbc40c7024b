//! Data that a client keeps in its session, logged in or not.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use serde::Deserialize;
use serde_json::Value;
use tower_keep::session::Session;

use crate::{
    answer::{Error, Json, Path, Query},
    app::App,
    repository::NotFound,
};

pub fn routes() -> Router<App> {
    Router::new().route("/session/{key}", get(read).put(write))
}

/// Apart from the application's own keys: a client must not be able to say who it is.
fn name(key: &str) -> String {
    format!("data.{key}")
}

async fn read(session: Session, Path(key): Path<String>) -> Result<Json<Value>, Error> {
    let value = session.get(&name(&key)).await?;
    Ok(Json(value.ok_or(NotFound("value"))?))
}

#[derive(Debug, Deserialize)]
struct Slowness {
    /// Between the load of the session and its commit, to try races with.
    #[serde(default)]
    delay_ms: u64,
}

async fn write(
    session: Session,
    Path(key): Path<String>,
    Query(slowness): Query<Slowness>,
    Json(value): Json<Value>,
) -> Result<StatusCode, Error> {
    session.exists().await?;
    tokio::time::sleep(Duration::from_millis(slowness.delay_ms)).await;
    session.insert(&name(&key), &value)?;
    Ok(StatusCode::NO_CONTENT)
}
