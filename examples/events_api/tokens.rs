//! Refresh tokens: how a client stays logged in for longer than its access lasts.

use axum::{
    Router, extract::State, http::header::CACHE_CONTROL, response::IntoResponse, routing::post,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_keep::refresh_token::{Grant, RefreshTokenError, RefreshTokens};

use crate::{
    answer::{Error, Json},
    app::App,
};

/// The platform's own front end is the only client.
const CLIENT: &str = "events";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/token/refresh", post(refresh))
        .route("/token/revoke", post(revoke))
}

/// A token for who has just logged in.
pub async fn issue(
    tokens: &RefreshTokens,
    user: &str,
    device: Option<&str>,
) -> Result<String, Error> {
    let grant = Grant::new(user, CLIENT);
    let grant = match device.filter(|device| !device.is_empty()) {
        Some(device) => grant.with_device(device),
        None => grant,
    };
    Ok(tokens.issue(grant).await?.token.into_string())
}

/// Ends all tokens of a user.
pub async fn revoke_user(tokens: &RefreshTokens, user: &str) -> Result<(), Error> {
    Ok(tokens.revoke_user(user).await?)
}

#[derive(Debug, Deserialize)]
struct Presented {
    refresh_token: String,
}

#[derive(Debug, Serialize)]
struct Refreshed {
    refresh_token: String,
    /// Seconds.
    expires_in: u64,
}

/// Here an access token would be made as well. Answers and errors are those of OAuth (RFC 6749).
async fn refresh(
    State(app): State<App>,
    Json(Presented { refresh_token }): Json<Presented>,
) -> Result<impl IntoResponse, RefreshTokenError> {
    let issued = app.tokens.rotate(&refresh_token, CLIENT).await?;
    let refreshed = Refreshed {
        refresh_token: issued.token.into_string(),
        expires_in: issued.expires_in.as_secs(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(refreshed)))
}

/// A token that is no good already is as well revoked. The status says it all (RFC 7009, section 2.2).
async fn revoke(
    State(app): State<App>,
    Json(Presented { refresh_token }): Json<Presented>,
) -> Result<impl IntoResponse, RefreshTokenError> {
    app.tokens.revoke(&refresh_token).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(json!({}))))
}
