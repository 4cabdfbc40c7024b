//! Warnings about the store in the log.

use crate::{store::StoreError, throttle::Throttle};

/// The store has failed a request. At most one line in ten seconds, since every request may fail.
pub(super) fn unavailable(error: &StoreError) {
    static THROTTLE: Throttle = Throttle::new();
    if let Some(more) = THROTTLE.pass() {
        tracing::warn!(target: "tower_keep::session", %error, more, "the store has failed a session");
    }
}

/// Activity could not be noted, and the request goes on without.
pub(super) fn untouched(error: &StoreError) {
    static THROTTLE: Throttle = Throttle::new();
    if let Some(more) = THROTTLE.pass() {
        tracing::warn!(target: "tower_keep::session", %error, more, "the activity of a session could not be noted");
    }
}
