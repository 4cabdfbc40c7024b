//! Who a request comes from.

use axum::{
    Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower_keep::{rate_limit::RateLimitLayer, session::Session};

use crate::{
    answer::{Error, Json},
    app::App,
};

/// The keys of the session that are the application's own.
const USER: &str = "user";
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
}

/// This is where a password would be checked.
async fn login(session: Session, Json(login): Json<Login>) -> Result<Json<Welcome>, Error> {
    if login.user.is_empty() {
        let detail = "The user has no name.";
        return Err(Error::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let before = session.get::<String>(USER).await?;
    if before.is_some_and(|user| user != login.user) {
        // What one user has left behind is not for the next one.
        session.clear()?;
    }
    session.renew()?;
    session.insert(USER, &login.user)?;
    session.insert(DEVICE, &login.device)?;
    Ok(Json(Welcome { user: login.user }))
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
        match session.get(USER).await? {
            Some(user) => Ok(Self { user, session }),
            None => Err(Error::new(StatusCode::UNAUTHORIZED, "Log in first.")),
        }
    }
}
