//! What all routes share, and the layers around them.

use std::sync::Arc;

use axum::Router;
use tower_keep::{
    Store,
    cache::CacheLayer,
    health::Health,
    key_value::KeyValue,
    rate_limit::RateLimitLayer,
    refresh_token::RefreshTokens,
    session::{SessionConfigError, SessionLayer},
};

use crate::{
    answer, debug, events, flags::Flags, limit::limit, login, repository::Repository, session_data,
    tokens, users,
};

#[derive(Debug, Clone)]
pub struct App {
    pub repository: Arc<Repository>,
    /// Users out of the repository, kept in the store.
    pub users: KeyValue,
    /// What keeps clients logged in.
    pub tokens: RefreshTokens,
}

/// The routes inside of their layers: the limit comes first, then the session, which costs
/// nothing where no handler asks for it, then the cache, which so never sees a session's cookie.
pub fn app(flags: &Flags) -> Result<Router, String> {
    let store = flags.common.store()?;
    let app = App {
        repository: Arc::new(Repository::seeded(flags.db_delay_ms)),
        users: KeyValue::new(store.clone(), "user").map_err(|error| error.to_string())?,
        tokens: RefreshTokens::new(store.clone())
            .with_grace(flags.refresh_grace)
            .map_err(|error| error.to_string())?,
    };
    let login_limit = RateLimitLayer::new(store.clone(), flags.login_limit.clone());
    let routes = Router::new()
        .merge(login::routes(login_limit))
        .merge(session_data::routes())
        .merge(tokens::routes())
        .merge(users::routes())
        .merge(events::routes(CacheLayer::new(store.clone())))
        .merge(debug::routes())
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .with_state(app)
        .layer(sessions(flags, &store).map_err(|error| error.to_string())?);
    let routes = match limit(&store, &flags.limits)? {
        Some(limit) => routes.layer(limit),
        None => routes,
    };
    // Outside of all layers: neither limited nor in need of a session.
    let health = Health::new(store);
    Ok(routes
        .route_service("/_health/live", health.live())
        .route_service("/_health/ready", health.ready()))
}

fn sessions(flags: &Flags, store: &Store) -> Result<SessionLayer, SessionConfigError> {
    let sessions = SessionLayer::new(store.clone())
        .with_idle_timeout(flags.session_idle)?
        .with_absolute_timeout(flags.session_absolute)?
        .with_renewal_grace(flags.session_grace)?
        .with_max_bytes(flags.session_bytes)?;
    Ok(match flags.insecure_cookies {
        true => sessions.with_insecure_cookies(),
        false => sessions,
    })
}
