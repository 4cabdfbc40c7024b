//! Who is logged in, as a key.

use std::sync::Arc;

use http::request::Parts;

use crate::session::Session;

/// The user of a request's session, once it was read.
#[derive(Clone)]
struct SessionUser(Arc<str>);

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
