//! A value that expires.

use std::time::Duration;

use crate::store::clock::Timestamp;

/// A value and the moment from which it is as good as absent.
#[derive(Debug)]
pub(crate) struct Live<V> {
    pub(crate) value: V,
    pub(crate) expires_at: Timestamp,
}

/// Makes `live` expire `ttl` after `now`, creating it with `value` where it is absent.
pub(crate) fn replace<V>(live: &mut Option<Live<V>>, value: V, now: Timestamp, ttl: Duration) {
    *live = Some(Live {
        value,
        expires_at: now.saturating_add(ttl),
    });
}
