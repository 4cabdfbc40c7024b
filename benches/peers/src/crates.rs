//! Crates that do one of our layers' work, each set up as its documentation has it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    handler::Handler,
    http::{Request, StatusCode},
    response::Response,
    routing::get,
};
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};
use tower_rate_limiter::{RateLimitError, RateLimitLayer, RedisStore};
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie, session};
use tower_sessions_redis_store::{RedisStore as SessionStore, fred::prelude as fred};

use crate::site::{CLIENT, LOGIN, PAGE, QUOTA, USER, page, pages};

/// By the client's name, as all limits here.
#[derive(Debug, Clone)]
struct Client;

fn client<B>(request: &Request<B>) -> Option<String> {
    Some(request.headers().get(CLIENT)?.to_str().ok()?.to_owned())
}

impl KeyExtractor for Client {
    type Key = String;

    fn extract<B>(&self, request: &Request<B>) -> Result<String, GovernorError> {
        client(request).ok_or(GovernorError::UnableToExtractKey)
    }
}

impl tower_rate_limiter::KeyExtractor for Client {
    type Key = String;

    fn extract<B>(&self, request: &Request<B>) -> Result<String, RateLimitError> {
        client(request).ok_or_else(|| {
            RateLimitError::Key("no_client".into(), "the client is not named".into())
        })
    }
}

pub(crate) fn governor() -> Router {
    let config = GovernorConfigBuilder::default()
        .per_nanosecond(1000)
        .burst_size(QUOTA as u32)
        .key_extractor(Client)
        .finish();
    let config = config.expect("the quota is not zero");
    pages().layer(GovernorLayer::new(Arc::new(config)))
}

/// A layer for each of so many limits.
pub(crate) fn governor_with_fields(limits: usize) -> Router {
    (0..limits).fold(pages(), |pages, _| {
        let config = GovernorConfigBuilder::default()
            .per_nanosecond(1000)
            .burst_size(QUOTA as u32)
            .key_extractor(Client)
            .use_headers()
            .finish();
        let config = config.expect("the quota is not zero");
        pages.layer(GovernorLayer::new(Arc::new(config)))
    })
}

/// Fixed windows, with a layer for each.
pub(crate) async fn rate_limiter(
    redis_url: &str,
    limits: &[&'static str],
) -> Result<Router, BoxError> {
    let connection = crate::by_hand::connect(redis_url).await?;
    limits.iter().try_fold(pages(), |pages, name| {
        let layer = RateLimitLayer::builder(Client)
            .with_store(RedisStore::new(connection.clone()))
            .limit(QUOTA)
            .window(Duration::from_secs(100))
            .policy_name(*name)
            .build()?;
        Ok(pages.layer(layer))
    })
}

/// Sessions with the Redis store on fred's pool of six connections, one hour after the last use.
pub(crate) async fn sessions<H, T>(redis_url: &str, handler: H) -> Result<Router, BoxError>
where
    H: Handler<T, ()>,
    T: 'static,
{
    use tower_sessions_redis_store::fred::interfaces::ClientLike as _;
    let pool = fred::Pool::new(fred::Config::from_url(redis_url)?, None, None, None, 6)?;
    pool.connect();
    pool.wait_for_connect().await?;
    let layer = SessionManagerLayer::new(SessionStore::new(pool))
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(cookie::time::Duration::hours(1)));
    let router = Router::new()
        .route(PAGE, get(handler))
        .route(LOGIN, get(login));
    Ok(router.layer(layer))
}

async fn login(session: Session) -> Result<&'static str, Refused> {
    session.insert("user", USER).await?;
    session.insert("number", 1u64).await?;
    Ok("welcome")
}

pub(crate) async fn read(session: Session) -> Result<Response, Refused> {
    match session.get::<String>("user").await?.as_deref() {
        Some(USER) => Ok(page()),
        _ => Err(Refused),
    }
}

pub(crate) async fn write(session: Session) -> Result<Response, Refused> {
    let number = session.get::<u64>("number").await?.ok_or(Refused)?;
    session.insert("number", number + 1).await?;
    Ok(page())
}

/// The session is not there: the load says so and ends.
#[derive(Debug)]
pub(crate) struct Refused;

impl From<session::Error> for Refused {
    fn from(_: session::Error) -> Self {
        Self
    }
}

impl From<Infallible> for Refused {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        StatusCode::UNAUTHORIZED.into_response()
    }
}
