//! The settings of a session layer.

use std::time::Duration;

use super::cookie::CookieSettings;
use crate::store::operations::session::Timeouts;

/// A setting that cannot be used: its name, its value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the session's {name} is {value}: expected {expected}")]
pub struct SessionConfigError {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) expected: &'static str,
}

/// What a request gets whose session the store does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreFailure {
    /// Calls on the session fail with [`Unavailable`](super::SessionError::Unavailable) and the
    /// layer answers 503, whatever the handler makes of it. The default.
    #[default]
    Unavailable,
    /// Reads see no session, as if the client were anonymous; writes fail with
    /// [`Unavailable`](super::SessionError::Unavailable). Nothing is committed.
    AnonymousReadOnly,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) cookie: CookieSettings,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) touch_fraction: f64,
    pub(super) renewal: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) on_store_error: StoreFailure,
    pub(super) commit_on_server_error: bool,
}

const HOUR: u64 = 3600;

impl Default for Config {
    fn default() -> Self {
        Self {
            cookie: CookieSettings::default(),
            idle: Duration::from_secs(24 * HOUR),
            absolute: Duration::from_secs(7 * 24 * HOUR),
            touch_fraction: 0.1,
            renewal: None,
            grace: Duration::from_secs(10),
            on_store_error: StoreFailure::default(),
            commit_on_server_error: false,
        }
    }
}

impl Config {
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle: self.idle,
            absolute: self.absolute,
            touch_every: self.idle.mul_f64(self.touch_fraction),
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
    if (least..=MOST).contains(&value) {
        Ok(value)
    } else {
        Err(SessionConfigError {
            name,
            value: format!("{value:?}"),
            expected,
        })
    }
}
