//! What only tests want to know.

use axum::{Router, extract::State, routing::get};

use crate::{answer::Json, app::App, repository::Reads};

pub fn routes() -> Router<App> {
    Router::new().route("/_debug/reads", get(reads))
}

/// How often the database was read.
async fn reads(State(app): State<App>) -> Json<Reads> {
    Json(app.repository.reads())
}
