//! Who a request comes from.

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower_keep::{rate_limit::RateLimitLayer, session::Session};

use crate::{
    answer::{Error, Json},
    app::App,
    tokens,
};

/// The keys of the session that are the application's own.
const DEVICE: &str = "device";
const VISITS: &str = "visits";

pub fn routes(limit: RateLimitLayer) -> Router<App> {
    Router::new()
        .route("/login", post(login).layer(limit))
        .route("/logout", post(logout))
        .route("/me", get(me))
}

#[derive(Debug, Deserialize)]
struct Login {
    user: String,
    device: Option<String>,
}

#[derive(Debug, Serialize)]
struct Welcome {
    user: String,
    refresh_token: String,
}

/// This is where a password would be checked.
async fn login(
    State(app): State<App>,
    session: Session,
    Json(login): Json<Login>,
) -> Result<Json<Welcome>, Error> {
    // A new id, which nobody can have planted. What another user has left behind goes.
    session.login(&login.user)?;
    session.insert(DEVICE, &login.device)?;
    let device = login.device.as_deref();
    let refresh_token = tokens::issue(&app.tokens, &login.user, device).await?;
    Ok(Json(Welcome {
        user: login.user,
        refresh_token,
    }))
}

async fn logout(session: Session) -> Result<StatusCode, Error> {
    session.destroy().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Serialize)]
struct Me {
    user: String,
    visits: i64,
}

async fn me(LoggedIn { user, session }: LoggedIn) -> Result<Json<Me>, Error> {
    let visits = session.increment(VISITS, 1).await?;
    Ok(Json(Me { user, visits }))
}

/// The user of a request; 401 without one.
#[derive(Debug)]
pub struct LoggedIn {
    pub user: String,
    pub session: Session,
}

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = Session::from_request_parts(parts, state).await?;
        match session.user().await? {
            Some(user) => Ok(Self {
                user: user.to_string(),
                session,
            }),
            None => Err(Error::new(StatusCode::UNAUTHORIZED, "Log in first.")),
        }
    }
}
