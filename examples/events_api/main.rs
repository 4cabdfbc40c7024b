//! The API of an event platform on axum: limits, sessions, a response cache and cached users,
//! all in one store.
//!
//! ```text
//! cargo run --example events_api -- --insecure-cookies --store redis://127.0.0.1/
//! curl -i localhost:8080/events
//! curl -c jar --json '{"user":"ada","device":"laptop"}' localhost:8080/login
//! curl -b jar localhost:8080/me
//! ```
#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

mod answer;
mod app;
#[path = "../common/mod.rs"]
mod common;
mod debug;
mod events;
mod flags;
#[path = "../common/limit.rs"]
mod limit;
mod login;
mod repository;
#[path = "../common/serve.rs"]
mod serve;
mod session_data;
mod tokens;
mod users;

use flags::Flags;

#[tokio::main]
async fn main() -> Result<(), common::Error> {
    let flags: Flags = common::parse();
    common::log();
    let app = app::app(&flags).unwrap_or_else(|error| common::fail(&error));
    serve::serve(flags.common.bind().await?, app).await
}
