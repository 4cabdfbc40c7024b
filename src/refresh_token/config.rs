//! The settings.

use std::{fmt, sync::Arc, time::Duration};

use super::Reuse;

/// A setting that cannot be used: its name, its value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the {name} of refresh tokens is {value}: expected {expected}")]
pub struct RefreshTokenConfigError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

type OnReuse = Arc<dyn Fn(&Reuse) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) prefix: Box<str>,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) grace: Duration,
    pub(super) max_families: usize,
    pub(super) on_reuse: Option<OnReuse>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Keeps every sum of times in range.
const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "rt_".into(),
            idle: 7 * DAY,
            absolute: 30 * DAY,
            grace: Duration::from_secs(10),
            max_families: 100,
            on_reuse: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("prefix", &self.prefix)
            .field("idle", &self.idle)
            .field("absolute", &self.absolute)
            .field("grace", &self.grace)
            .field("max_families", &self.max_families)
            .finish_non_exhaustive()
    }
}

/// A lifetime from a millisecond to ten years.
pub(super) fn lifetime(
    name: &'static str,
    value: Duration,
) -> Result<Duration, RefreshTokenConfigError> {
    let usable = (Duration::from_millis(1)..=MOST).contains(&value);
    usable
        .then_some(value)
        .ok_or_else(|| RefreshTokenConfigError {
            name,
            value: format!("{value:?}"),
            expected: "1 ms to 10 years",
        })
}

pub(super) fn grace(value: Duration) -> Result<Duration, RefreshTokenConfigError> {
    let usable = value <= Duration::from_secs(3600);
    usable
        .then_some(value)
        .ok_or_else(|| RefreshTokenConfigError {
            name: "grace",
            value: format!("{value:?}"),
            expected: "at most 1 h",
        })
}

/// Visible characters that a token can be found by and that need no escaping anywhere.
pub(super) fn prefix(value: &str) -> Result<Box<str>, RefreshTokenConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let usable = value.len() <= 32 && value.bytes().all(allowed);
    usable
        .then(|| value.into())
        .ok_or_else(|| RefreshTokenConfigError {
            name: "prefix",
            value: format!("{:?}", value.chars().take(64).collect::<String>()),
            expected: "at most 32 of a-z A-Z 0-9 _ -",
        })
}

pub(super) fn max_families(value: usize) -> Result<usize, RefreshTokenConfigError> {
    (1..=1000)
        .contains(&value)
        .then_some(value)
        .ok_or_else(|| RefreshTokenConfigError {
            name: "maximum of families",
            value: value.to_string(),
            expected: "1 to 1000",
        })
}
