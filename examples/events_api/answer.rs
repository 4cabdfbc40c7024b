//! JSON in and out; errors as problem details (RFC 9457).

use axum::{
    extract::{
        FromRequest, FromRequestParts,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use tower_keep::{
    StoreError,
    key_value::LoadError,
    rate_limit::RateLimitDecision,
    refresh_token::RefreshTokenError,
    session::{MissingSessionLayer, SessionError},
};

use crate::repository::NotFound;

/// JSON, as axum's own, with problem details where it does not parse.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(Error))]
pub struct Json<T>(pub T);

/// A part of the path, likewise.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

/// The query, likewise.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub struct Query<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Why a request gets no other answer.
#[derive(Debug)]
pub enum Error {
    /// The session cannot be read or changed; the crate knows how to say so.
    Session(SessionError),
    /// Too many attempts; the decision says of what, and when more are allowed.
    TooMany(Box<RateLimitDecision>),
    /// Anything else: a status, and what the client should know.
    Problem(StatusCode, String),
}

impl Error {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Problem(status, detail.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Session(error) => return error.into_response(),
            Self::TooMany(decision) => return too_many(&decision),
            Self::Problem(status, detail) => (status, detail),
        };
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
        });
        answer(status, &problem)
    }
}

/// What a rate limit layer answers too.
fn too_many(decision: &RateLimitDecision) -> Response {
    let violated = decision.iter().filter(|policy| policy.is_violated());
    let violated: Vec<_> = violated.map(|policy| policy.policy().name()).collect();
    let problem = json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "violated-policies": violated,
    });
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &problem);
    if let Some(after) = decision.retry_after() {
        // Rounded up: whoever waits so long is not early.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, seconds.max(1).into());
    }
    response
}

fn answer(status: StatusCode, problem: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/problem+json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, problem.to_string()).into_response()
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<MissingSessionLayer> for Error {
    fn from(error: MissingSessionLayer) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store failed a request");
        let detail = "The store is unavailable, try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

/// Outside of the token endpoints, whose errors are those of OAuth.
impl From<RefreshTokenError> for Error {
    fn from(error: RefreshTokenError) -> Self {
        match error {
            RefreshTokenError::Unavailable(error) => error.into(),
            error => Self::new(error.status(), error.to_string()),
        }
    }
}

impl From<NotFound> for Error {
    fn from(NotFound(what): NotFound) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }
}

impl From<LoadError<NotFound>> for Error {
    fn from(error: LoadError<NotFound>) -> Self {
        let (status, detail) = match error {
            LoadError::Loader(error) => return Self::from(*error),
            LoadError::TimedOut(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "The database gave no answer in time.",
            ),
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The database cannot be read.",
            ),
        };
        tracing::warn!(?error, "a load failed");
        Self::new(status, detail)
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

pub async fn not_found() -> Error {
    NotFound("page").into()
}

pub async fn method_not_allowed() -> Error {
    let detail = "The method is none of this page's.";
    Error::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
