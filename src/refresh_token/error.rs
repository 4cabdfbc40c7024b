//! What a call can fail with, and what a client is told.

use http::StatusCode;

use crate::store::{StoreError, random::NoEntropy};

/// Why there is no token.
///
/// [`oauth_error`](Self::oauth_error) is the code of RFC 6749, section 5.2. With the feature `axum`
/// it is a response (`IntoResponse`): the JSON of that section, or problem details (RFC 9457) with
/// status 503 where the store has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshTokenError {
    /// The token is none that can be exchanged: never issued, changed, expired or revoked. Nothing
    /// is revoked for it.
    #[error("the refresh token is unknown, expired or revoked")]
    Invalid,

    /// The token was exchanged before, so two parties have it. The whole family is revoked, the
    /// newest token included, and [`on_reuse`](super::RefreshTokens::on_reuse) was called.
    #[error("the refresh token was used before: its family is revoked")]
    Reused,

    /// The token is another client's. It stays good for that one.
    #[error("the refresh token is another client's")]
    OtherClient,

    /// More scope is asked for than was granted. The token stays good.
    #[error("the scope exceeds what was granted")]
    WiderScope,

    /// A part of the grant, or the scope that is asked for, cannot be used. Nothing was asked of
    /// the store.
    #[error("the {what} of a refresh token is {expected}")]
    Unusable {
        /// Which part.
        what: &'static str,
        /// What would be right.
        expected: &'static str,
    },

    /// The store gave no answer. The same token may be sent again: with a grace, a rotation of
    /// which the answer was lost gives the same successor.
    #[error("the store of refresh tokens is unavailable: {0}")]
    Unavailable(#[from] StoreError),

    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoEntropy,
}

impl From<NoEntropy> for RefreshTokenError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl RefreshTokenError {
    /// The value of `error` in a response of the token endpoint (RFC 6749, section 5.2); `None` for
    /// what is no fault of the client's and must not end its login.
    pub fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::Invalid | Self::Reused | Self::OtherClient => Some("invalid_grant"),
            Self::WiderScope | Self::Unusable { what: "scope", .. } => Some("invalid_scope"),
            Self::Unusable { .. } => Some("invalid_request"),
            Self::Unavailable(_) | Self::NoEntropy => None,
        }
    }

    /// 400 with an [`oauth_error`](Self::oauth_error), else 503.
    pub fn status(&self) -> StatusCode {
        match self.oauth_error() {
            Some(_) => StatusCode::BAD_REQUEST,
            None => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for RefreshTokenError {
    fn into_response(self) -> axum_core::response::Response {
        use crate::problem::{Plain, Problem};
        use http::header::{CACHE_CONTROL, CONTENT_TYPE};

        let Some(code) = self.oauth_error() else {
            let problem = Problem {
                kind: "about:blank",
                title: "Service Unavailable",
                detail: Some("The store of refresh tokens is unavailable, try again."),
                extension: Plain {},
            };
            let response = problem.into_response(self.status());
            return response.map(axum_core::body::Body::from);
        };
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        (self.status(), headers, format!(r#"{{"error":"{code}"}}"#)).into_response()
    }
}
