//! The three layers around a router: what each client may do, who it is, what is kept.
//!
//! ```text
//! cargo run --example quickstart
//! curl -i localhost:8080/
//! ```
#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

mod common;
#[path = "common/serve.rs"]
mod serve;

use axum::{Router, http::header::CACHE_CONTROL, routing::get};
use clap::Parser;
use tower_keep::{
    cache::CacheLayer,
    rate_limit::RateLimitLayer,
    session::{Session, SessionError, SessionLayer},
};

/// The three layers around a router.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    common: common::Common,
}

#[tokio::main]
async fn main() -> Result<(), common::Error> {
    let flags: Flags = common::parse();
    common::log();
    let store = (flags.common.store()).unwrap_or_else(|error| common::fail(&error));

    let limit = RateLimitLayer::new(store.clone(), r#""burst";q=100;w=60"#.parse()?);
    // Over plain http, as here; leave the second call out where there is TLS.
    let sessions = SessionLayer::new(store.clone()).with_insecure_cookies();
    let cache = CacheLayer::new(store);

    let app = Router::new()
        .route("/", get(hello).layer(cache))
        .route("/visits", get(visits))
        .layer(sessions)
        .layer(limit);
    serve::serve(flags.common.bind().await?, app).await
}

async fn hello() -> impl axum::response::IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=60")], "Hello!\n")
}

async fn visits(session: Session) -> Result<String, SessionError> {
    Ok(format!(
        "{} visits\n",
        session.increment("visits", 1).await?
    ))
}
