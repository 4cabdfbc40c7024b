//! One server of a peer: `tower-keep-peers NAME REDIS_URL WORKERS`. Started by the load benchmark,
//! whose `subjects.rs` has the names.

mod by_hand;
mod crates;
#[path = "../../load/site.rs"]
mod site;

use axum::{BoxError, Router};

fn main() -> Result<(), BoxError> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(redis_url), Some(workers)) = (args.next(), args.next(), args.next())
    else {
        return Err("usage: tower-keep-peers NAME REDIS_URL WORKERS".into());
    };
    let workers = workers.parse()?;
    site::run(workers, async move { router(&name, &redis_url).await })
}

async fn router(name: &str, redis_url: &str) -> Result<Router, BoxError> {
    if let Some((work, connections)) = name.split_once("/by-hand-") {
        return by_hand::router(work, connections, redis_url).await;
    }
    match name {
        "limit/tower_governor" => Ok(crates::governor()),
        "limit/tower_governor-fields" => Ok(crates::governor_with_fields(1)),
        "limit-three/tower_governor-fields" => Ok(crates::governor_with_fields(3)),
        "limit/tower-rate-limiter" => crates::rate_limiter(redis_url, &["load"]).await,
        "limit-three/tower-rate-limiter" => crates::rate_limiter(redis_url, &site::THREE).await,
        "session/tower-sessions" => crates::sessions(redis_url, crates::read).await,
        "session-write/tower-sessions" => crates::sessions(redis_url, crates::write).await,
        _ => Err(format!("there is no peer {name:?}").into()),
    }
}
