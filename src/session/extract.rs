//! The session as an axum extractor, and its errors as axum responses.

use std::convert::Infallible;

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::{error::SessionError, handle::Session, typed::TypedSession};
use crate::problem::{Plain, Problem};

/// The handler takes a [`Session`], and no [`SessionLayer`](super::SessionLayer) is around it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "no session layer around this handler: add `.layer(SessionLayer::new(store))` to its router"
)]
pub struct MissingSessionLayer;

/// Costs nothing: the store is asked when a method needs it.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = MissingSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingSessionLayer> {
        parts.extensions.get().cloned().ok_or(MissingSessionLayer)
    }
}

/// `None` without a session layer around the handler. Costs nothing.
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

impl<T, S: Sync> FromRequestParts<S> for TypedSession<T> {
    type Rejection = MissingSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingSessionLayer> {
        let session = parts.extensions.get().cloned();
        session.map(Self::new).ok_or(MissingSessionLayer)
    }
}

impl IntoResponse for MissingSessionLayer {
    fn into_response(self) -> Response {
        tracing::error!(target: "tower_keep::session", "{self}");
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server's session layer is missing.",
        )
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        let detail = match &self {
            Self::Unavailable(_) => super::error::UNAVAILABLE,
            Self::Ended => "The session has ended.",
            Self::TooLarge => super::error::TOO_LARGE,
            Self::InvalidUser => "The name of the user is empty or too long.",
            Self::Unauthenticated => "Log in first.",
            Self::InvalidCsrfToken => "The form is too old or is not from this site.",
            Self::InvalidDevice => "The name of the device is too long.",
            Self::Contended(_) => "The session is changed by too many at once.",
            Self::NoEntropy => "No session can be made.",
            Self::Committed
            | Self::TooLateForCookie
            | Self::InvalidLifetime(_)
            | Self::Serialize { .. }
            | Self::Overflow(_) => {
                tracing::error!(target: "tower_keep::session", error = %self, "a handler cannot use its session");
                "The session cannot be changed."
            }
        };
        problem(self.status(), detail)
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        detail: Some(detail),
        extension: Plain {},
    };
    problem.into_response(status).map(Body::from)
}
