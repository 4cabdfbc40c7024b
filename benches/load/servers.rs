//! The servers made of our layers.

use std::time::Duration;

use axum::{BoxError, Router, routing::get};
use deadpool_redis::{Config, Runtime};
use tower_keep::{
    Store,
    cache::CacheLayer,
    rate_limit::{HeaderDialect, Key, QuotaPolicy, RateLimitLayer, RateLimiter},
    session::{Session, SessionError, SessionLayer},
};

use crate::site::{CLIENT, LOGIN, PAGE, QUOTA, THREE, USER, page, pages};

/// Long enough that no request of a busy machine is answered without the store: that would
/// flatter the numbers. A deadline costs the same however long it is.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) async fn router(name: &str, redis_url: &str) -> Result<Router, BoxError> {
    let (work, way) = name.split_once('/').unwrap_or((name, ""));
    let (store, variant) = match way.split_once('-').unwrap_or((way, "")) {
        ("redis", variant) => (redis(redis_url)?, variant),
        (_, variant) => (Store::memory(), variant),
    };
    let [_, minute, hour] = THREE;
    let limiter = |name, seconds| -> Result<RateLimiter, BoxError> {
        Ok(RateLimiter::new(store.clone(), policy(name, seconds)?))
    };
    let session = || SessionLayer::new(store.clone()).with_insecure_cookies();
    Ok(match work {
        "bare" => pages(),
        "limit" => {
            let limit = limit(&store)?;
            pages().layer(match variant {
                "no-fields" => limit.with_headers(HeaderDialect::None),
                "three" => limit
                    .and_policy(policy(minute, 60)?)?
                    .and_policy(policy(hour, 3600)?)?,
                // By client, by method and for all together.
                "joint" => limit
                    .and_limiter(limiter(minute, 60)?, Key::method())?
                    .and_limiter(limiter(hour, 3600)?, Key::global())?,
                "blocks" => limit.with_blocks(0.01)?,
                _ => limit,
            })
        }
        "session" => with_login(get(read)).layer(session()),
        "session-write" => with_login(get(write)).layer(session()),
        "hit" => pages().layer(CacheLayer::new(store)),
        "stack" => pages()
            .layer(CacheLayer::new(store.clone()))
            .layer(axum::middleware::from_fn(reads_session))
            .route(LOGIN, get(login))
            .layer(session())
            .layer(limit(&store)?),
        _ => return Err(format!("there is no server {name:?}").into()),
    })
}

fn redis(url: &str) -> Result<Store, BoxError> {
    let pool = Config::from_url(url).create_pool(Some(Runtime::Tokio1))?;
    Ok(Store::redis(pool).with_deadline(DEADLINE))
}

fn policy(name: &str, seconds: u64) -> Result<QuotaPolicy, BoxError> {
    let quota = QUOTA / 100 * seconds;
    Ok(format!("\"{name}\";q={quota};w={seconds}").parse()?)
}

fn limit(store: &Store) -> Result<RateLimitLayer, BoxError> {
    let [load, ..] = THREE;
    let layer = RateLimitLayer::new(store.clone(), policy(load, 100)?);
    Ok(layer.with_key(Key::header(CLIENT)))
}

fn with_login(handler: axum::routing::MethodRouter) -> Router {
    Router::new().route(PAGE, handler).route(LOGIN, get(login))
}

/// As applications log in: the session is in the index of its user.
async fn login(session: Session) -> Result<&'static str, SessionError> {
    session.login(USER)?;
    session.insert("user", USER)?;
    session.insert("number", 1u64)?;
    Ok("welcome")
}

async fn read(session: Session) -> Result<axum::response::Response, BadSession> {
    match session.get::<String>("user").await?.as_deref() {
        Some(USER) => Ok(page()),
        _ => Err(BadSession),
    }
}

async fn write(session: Session) -> Result<axum::response::Response, BadSession> {
    let number = session.get::<u64>("number").await?.ok_or(BadSession)?;
    session.insert("number", number + 1)?;
    Ok(page())
}

/// What a layer of the application's own does that needs to know who asks.
async fn reads_session(
    session: Session,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Result<axum::response::Response, BadSession> {
    match session.get::<String>("user").await?.as_deref() {
        Some(USER) => Ok(next.run(request).await),
        _ => Err(BadSession),
    }
}

/// The session is not there: the load says so and ends.
#[derive(Debug)]
struct BadSession;

impl From<SessionError> for BadSession {
    fn from(_: SessionError) -> Self {
        Self
    }
}

impl axum::response::IntoResponse for BadSession {
    fn into_response(self) -> axum::response::Response {
        http::StatusCode::UNAUTHORIZED.into_response()
    }
}
