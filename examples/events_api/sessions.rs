//! The sessions of the user who asks: which there are, and ending them.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get, post},
};
use cookie::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use serde::Serialize;
use tower_keep::session::SessionInfo;

use crate::{
    answer::{Error, Json, Path},
    app::App,
    login::LoggedIn,
    repository::NotFound,
    tokens,
};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/sessions", get(list))
        .route("/sessions/{handle}", delete(revoke))
        .route("/logout/others", post(logout_others))
        .route("/logout/everywhere", post(logout_everywhere))
}

#[derive(Debug, Serialize)]
struct Shown {
    handle: Arc<str>,
    device: Arc<str>,
    created_at: String,
    last_seen_at: String,
    current: bool,
}

impl From<SessionInfo> for Shown {
    fn from(session: SessionInfo) -> Self {
        let time = |time: SystemTime| {
            let time = OffsetDateTime::from(time).format(&Rfc3339);
            time.unwrap_or_default()
        };
        Self {
            handle: session.handle,
            device: session.device,
            created_at: time(session.created_at),
            last_seen_at: time(session.last_seen_at),
            current: session.is_current,
        }
    }
}

async fn list(LoggedIn { session, .. }: LoggedIn) -> Result<Json<Vec<Shown>>, Error> {
    let sessions = session.list_sessions().await?;
    Ok(Json(sessions.into_iter().map(Shown::from).collect()))
}

/// 404 for a session of somebody else's: that there is one is nobody's business.
async fn revoke(
    LoggedIn { session, .. }: LoggedIn,
    Path(handle): Path<String>,
) -> Result<StatusCode, Error> {
    match session.revoke_session(&handle).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(NotFound("session").into()),
    }
}

async fn logout_others(LoggedIn { session, .. }: LoggedIn) -> Result<StatusCode, Error> {
    session.revoke_other_sessions().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// With the refresh tokens first: none is to be left when the sessions are gone.
async fn logout_everywhere(
    State(app): State<App>,
    LoggedIn { user, session }: LoggedIn,
) -> Result<StatusCode, Error> {
    tokens::revoke_user(&app.tokens, &user).await?;
    session.revoke_all_sessions().await?;
    Ok(StatusCode::NO_CONTENT)
}
