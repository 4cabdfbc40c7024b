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

/// A key of the session that is the application's own.
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

/// A layer counts logins by address, and this by user name, which is in the body. A success gives
/// the name its attempts back, so that nobody else can lock a user out for long; the address
/// not, since whoever tries out other users' passwords can log in as themselves in between.
async fn login(
    State(app): State<App>,
    session: Session,
    Json(login): Json<Login>,
) -> Result<Json<Welcome>, Error> {
    let attempt = app.logins.acquire(&login.user, 1).await?;
    if !attempt.is_admitted() {
        return Err(Error::TooMany(Box::new(attempt.into_decision())));
    }
    // This is where a password would be checked.
    // A new id, which nobody can have planted. What another user has left behind goes.
    session.bind(&login.user, login.device.as_deref().unwrap_or_default())?;
    let device = login.device.as_deref();
    let refresh_token = tokens::issue(&app.tokens, &login.user, device).await?;
    app.logins.reset(&login.user).await?;
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
