//! The settings of a session layer.

use std::{ops::RangeInclusive, time::Duration};

use super::{error::SessionConfigError, touching::Touching, transport::Transports};
use crate::store::operations::session::Rules;

/// What a request gets when the store fails to load its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SessionOnStoreError {
    /// Calls on the session fail with [`Unavailable`](super::SessionError::Unavailable), and the
    /// layer answers 503 whatever the handler answers. The default.
    #[default]
    Unavailable,
    /// Reads see no session, as if the client were anonymous; writes fail with
    /// [`Unavailable`](super::SessionError::Unavailable). Nothing is committed.
    AnonymousReadOnly,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) transports: Transports,
    #[cfg(feature = "session-encryption")]
    pub(super) data_keys: Option<super::keys::SessionKeys>,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) touch_fraction: f64,
    pub(super) renewal: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) on_store_error: SessionOnStoreError,
    pub(super) commit_on_server_error: bool,
    pub(super) max_bytes: usize,
    pub(super) max_keys: usize,
    pub(super) max_sessions_per_user: Option<usize>,
    pub(super) touching: Touching,
}

const HOUR: u64 = 3600;

impl Default for Config {
    fn default() -> Self {
        Self {
            transports: Transports::default(),
            #[cfg(feature = "session-encryption")]
            data_keys: None,
            idle: Duration::from_secs(24 * HOUR),
            absolute: Duration::from_secs(7 * 24 * HOUR),
            touch_fraction: 0.1,
            renewal: None,
            grace: Duration::from_secs(10),
            on_store_error: SessionOnStoreError::default(),
            commit_on_server_error: false,
            max_bytes: 64 << 10,
            max_keys: 128,
            max_sessions_per_user: None,
            touching: Touching::default(),
        }
    }
}

impl Config {
    /// Bytes that a stored value takes more than its JSON.
    pub(super) fn overhead(&self) -> usize {
        #[cfg(feature = "session-encryption")]
        if self.data_keys.is_some() {
            return super::keys::SessionKeys::OVERHEAD;
        }
        0
    }

    /// What the sessions of this layer have in their keys.
    pub(super) fn name(&self) -> &str {
        self.transports.cookie.name_in_keys()
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            idle: self.idle,
            absolute: self.absolute,
            touch_fraction: self.touch_fraction,
            max_bytes: self.max_bytes,
            max_keys: self.max_keys,
        }
    }
}

/// A duration from `least` to ten years, which keeps every sum of times in range.
pub(super) fn duration(
    name: &'static str,
    value: Duration,
    least: Duration,
    expected: &'static str,
) -> Result<Duration, SessionConfigError> {
    const MOST: Duration = Duration::from_secs(10 * 365 * 24 * HOUR);
    checked_duration(name, value, least..=MOST, expected)
}

/// A duration within `range`.
pub(super) fn checked_duration(
    name: &'static str,
    value: Duration,
    range: RangeInclusive<Duration>,
    expected: &'static str,
) -> Result<Duration, SessionConfigError> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(SessionConfigError {
            name,
            value: format!("{value:?}"),
            expected,
        })
    }
}

/// A number from one to `most`.
pub(super) fn bound(
    name: &'static str,
    value: usize,
    most: usize,
    expected: &'static str,
) -> Result<usize, SessionConfigError> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(SessionConfigError {
            name,
            value: value.to_string(),
            expected,
        })
    }
}
