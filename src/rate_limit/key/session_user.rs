//! Who is logged in, as a key.

use std::sync::Arc;

use http::request::Parts;

use super::subject::SubjectHasher;
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

/// A request whose session the store has not told: it may be anybody's.
#[derive(Debug, Clone)]
struct Unread(Session);

/// Reads the session, which the layer outside of this one has put there.
pub(super) async fn load(request: &mut Parts) {
    let Some(session) = request.extensions.get::<Session>().cloned() else {
        return;
    };
    let user = session.user().await;
    if let Err(error) = &user {
        tracing::debug!(target: "tower_keep::rate_limit", %error, "the session of a limit's key cannot be read");
    }
    match user.ok().flatten() {
        Some(user) => {
            request.extensions.insert(SessionUser(user));
        }
        // A layer may also say that a client is anonymous because the store has failed.
        None if session.unread_id().is_some() => {
            request.extensions.insert(Unread(session));
        }
        None => {}
    }
}

/// Whether the session could not be read.
pub(super) fn is_unread(request: &Parts) -> bool {
    loaded(request).is_none() && request.extensions.get::<Unread>().is_some()
}

/// Adds the user to what a request is counted by; where nobody can tell the user, the session.
pub(super) fn hash(request: &Parts, hasher: &mut SubjectHasher) {
    if is_unread(request) {
        let unread = request.extensions.get::<Unread>();
        let id = unread.and_then(|unread| unread.0.unread_id());
        hasher.part("session", "", id.map(str::as_bytes));
    } else {
        hasher.part("user", "", loaded(request).map(str::as_bytes));
    }
}

fn loaded(request: &Parts) -> Option<&str> {
    let user = request.extensions.get::<SessionUser>()?;
    Some(&user.0)
}
