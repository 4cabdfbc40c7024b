//! What a call on a session can fail with, and a setting of its layer.

use http::StatusCode;

use crate::store::{StoreError, random::NoEntropy};

/// What a client is told.
pub(super) const UNAVAILABLE: &str = "The session store is unavailable.";
pub(super) const TOO_LARGE: &str = "The session would hold too much.";

/// Why a session could not be read or changed.
///
/// With the feature `axum` it is a response (`IntoResponse`), with [`status`](Self::status) and
/// problem details (RFC 9457).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store gave no answer. Further calls on this request's session fail, nothing is
    /// committed, and the layer answers 503 whatever the handler answers, unless
    /// [`SessionOnStoreError`](super::SessionOnStoreError) says otherwise.
    #[error("the session store is unavailable: {0}")]
    Unavailable(#[from] StoreError),

    /// The session was destroyed (a logout) or expired while this request was at work with it.
    /// Nothing brings it back.
    #[error("the session ended while the request was running")]
    Ended,

    /// The head of the response was sent: a change can no longer be committed, and a first read
    /// can no longer mark the response as private.
    #[error("the response has begun: the session is committed")]
    Committed,

    /// The head of the response was sent, and this would need a cookie in it: the first change of a
    /// client without a session, a login or another new id. Make the session before, and
    /// [`save`](super::Session::save) it.
    #[error("the response has begun: a new session id cannot reach the client any more")]
    TooLateForCookie,

    /// A lifetime that [`SessionLifetime`](super::SessionLifetime) cannot have.
    #[error(transparent)]
    InvalidLifetime(#[from] SessionConfigError),

    /// The value cannot be written as JSON.
    #[error("the session value {key:?} cannot be serialized: {error}")]
    Serialize {
        /// The value's key.
        key: Box<str>,
        /// What serde_json says.
        #[source]
        error: serde_json::Error,
    },

    /// [`increment`](super::Session::increment) would leave the range of `i64`; nothing changed.
    #[error("the session value {0:?} would leave the range of a 64-bit integer")]
    Overflow(Box<str>),

    /// [`update`](super::Session::update) met another writer at every attempt; nothing changed.
    #[error("the session value {0:?} is changed by too many at once")]
    Contended(Box<str>),

    /// The session would hold more than its layer allows, in
    /// [bytes](super::SessionLayer::with_max_bytes) or in
    /// [keys](super::SessionLayer::with_max_keys). It is as it was, and where a handler answers
    /// with this status, nothing else of the request is committed either.
    #[error("the session would grow over its bounds")]
    TooLarge,

    /// [`login`](super::Session::login) takes a user of 1 to 256 bytes.
    #[error("a session's user is 1 to 256 bytes")]
    InvalidUser,

    /// [`bind`](super::Session::bind) takes a device of at most 256 bytes.
    #[error("a session's device is at most 256 bytes")]
    InvalidDevice,

    /// Nobody is logged in, and [`require_user`](super::Session::require_user) was called.
    #[error("nobody is logged in")]
    Unauthenticated,

    /// [`verify_csrf`](super::Session::verify_csrf) was given no token of this session.
    #[error("the CSRF token is none of this session")]
    InvalidCsrfToken,

    /// The operating system gave no random bytes for a new id.
    #[error("the operating system gave no random bytes")]
    NoEntropy,
}

/// The status of a gRPC call: `UNAUTHENTICATED` for a 401, `UNAVAILABLE` for a 503, and so on.
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
impl From<SessionError> for tonic::Status {
    fn from(error: SessionError) -> Self {
        use tonic::Code;
        let code = match error.status() {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidArgument,
            _ => Code::Internal,
        };
        // Not the message of an internal error, which is the server's own affair.
        match code {
            Code::Internal | Code::Unavailable => Self::new(code, "The session is unavailable."),
            _ => Self::new(code, error.to_string()),
        }
    }
}

impl From<NoEntropy> for SessionError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl SessionError {
    /// The status that says this to a client: 503 where it is about the store, 401 for a
    /// session that has ended and where nobody is logged in, 403 for a wrong CSRF token, 413 for one that would grow over its bounds, 422 for a user or a
    /// device that is no such, 500 for what only the application can mend.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unavailable(_) | Self::Contended(_) | Self::NoEntropy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Ended | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::InvalidCsrfToken => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidUser | Self::InvalidDevice => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Committed
            | Self::TooLateForCookie
            | Self::InvalidLifetime(_)
            | Self::Serialize { .. }
            | Self::Overflow(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A setting that cannot be used: its name, its value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the session's {name} is {value}: expected {expected}")]
pub struct SessionConfigError {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) expected: &'static str,
}
