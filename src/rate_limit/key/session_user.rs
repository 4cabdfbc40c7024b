//! Who is logged in, as a key.

use std::sync::Arc;

use http::request::Parts;

use crate::session::Session;

/// The user that [`Key::session_user`](super::Key::session_user) counts a request for: an extension
/// of the request, which is put there once its session was read.
///
/// Whoever asks about a user without a session puts it there:
/// [`RateLimiter::peek_request`](crate::rate_limit::RateLimiter::peek_request).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUser(Arc<str>);

impl SessionUser {
    /// By the name that [`Session::login`](crate::session::Session::login) gets.
    pub fn new(user: impl Into<Arc<str>>) -> Self {
        Self(user.into())
    }
}

/// Reads the session, which the layer outside of this one has put there.
pub(super) async fn load(request: &mut Parts) {
    let Some(session) = request.extensions.get::<Session>().cloned() else {
        return;
    };
    match session.user().await {
        Ok(Some(user)) => {
            request.extensions.insert(SessionUser(user));
        }
        Ok(None) => {}
        Err(error) => {
            tracing::debug!(target: "tower_keep::rate_limit", %error, "the session of a limit's key cannot be read");
        }
    }
}

pub(super) fn loaded(request: &Parts) -> Option<&str> {
    let user = request.extensions.get::<SessionUser>()?;
    Some(&user.0)
}
