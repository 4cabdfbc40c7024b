//! How much in how long.

use std::time::Duration;

use crate::store::operations::limit::{Algorithm, Limit};

/// So many units in every window of time.
///
/// ```
/// # use std::time::Duration;
/// use tower_keep::rate_limit::Quota;
///
/// let quota = Quota::new(5, Duration::from_secs(10))?;
/// assert_eq!(Quota::per_minute(100)?, Quota::new(100, Duration::from_secs(60))?);
/// # Ok::<(), tower_keep::rate_limit::QuotaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u64,
    window: Duration,
}

/// Why a quota cannot be enforced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limit is 0 or more than [`Quota::MAX_LIMIT`].
    #[error("a quota of {0} units: expected 1 to {max}", max = Quota::MAX_LIMIT)]
    Limit(u64),
    /// The window is no whole number of seconds, which is all that the header fields can say,
    /// or is 0 or longer than [`Quota::MAX_WINDOW`].
    #[error("a window of {0:?}: expected whole seconds from 1 to {max} (366 days)", max = Quota::MAX_WINDOW.as_secs())]
    Window(Duration),
}

impl Quota {
    /// The most units of a window: 10^12.
    pub const MAX_LIMIT: u64 = 1_000_000_000_000;

    /// The longest window: 366 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

    /// `limit` units in every `window`.
    ///
    /// # Errors
    ///
    /// When `limit` is not from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT) or `window` not a whole
    /// number of seconds from 1 to [`MAX_WINDOW`](Self::MAX_WINDOW).
    pub fn new(limit: u64, window: Duration) -> Result<Self, QuotaError> {
        if !(1..=Self::MAX_LIMIT).contains(&limit) {
            return Err(QuotaError::Limit(limit));
        }
        if window.is_zero() || window.subsec_nanos() != 0 || window > Self::MAX_WINDOW {
            return Err(QuotaError::Window(window));
        }
        Ok(Self { limit, window })
    }

    /// `limit` units a second.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_second(limit: u64) -> Result<Self, QuotaError> {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` units a minute.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_minute(limit: u64) -> Result<Self, QuotaError> {
        Self::new(limit, Duration::from_secs(60))
    }

    /// `limit` units an hour.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_hour(limit: u64) -> Result<Self, QuotaError> {
        Self::new(limit, Duration::from_secs(3_600))
    }

    /// `limit` units a day.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_day(limit: u64) -> Result<Self, QuotaError> {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// The units of a window.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The window, in whole seconds.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// A share of the quota, at least one unit and at most all.
    pub(crate) fn share(&self, share: f64) -> Self {
        // A cast from a float saturates, and makes 0 of what is no number.
        let limit = (self.limit as f64 * share).ceil() as u64;
        Self {
            limit: limit.clamp(1, self.limit),
            ..*self
        }
    }

    /// The quota as `algorithm` counts it.
    pub(crate) fn under(&self, algorithm: Algorithm) -> Limit {
        Limit::new(algorithm, self.limit, self.window.as_secs() * 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_quota_is_refused_with_what_would_be_one() {
        let quota = |limit, seconds| Quota::new(limit, Duration::from_secs(seconds));
        let message = |limit, seconds| quota(limit, seconds).unwrap_err().to_string();
        assert_eq!(
            message(0, 10),
            "a quota of 0 units: expected 1 to 1000000000000"
        );
        assert_eq!(
            message(1_000_000_000_001, 10),
            "a quota of 1000000000001 units: expected 1 to 1000000000000"
        );
        assert_eq!(
            message(5, 0),
            "a window of 0ns: expected whole seconds from 1 to 31622400 (366 days)"
        );
        for seconds in [Quota::MAX_WINDOW.as_secs() + 1, u64::MAX] {
            assert!(quota(5, seconds).is_err());
        }
        assert!(Quota::new(5, Duration::from_millis(1_500)).is_err());
    }

    #[test]
    fn any_other_quota_is_accepted() {
        for limit in [1, 7, 300_000, 999_983, Quota::MAX_LIMIT] {
            for seconds in [1, 3, 30, 86_400, Quota::MAX_WINDOW.as_secs()] {
                assert!(Quota::new(limit, Duration::from_secs(seconds)).is_ok());
            }
        }
    }

    #[test]
    fn a_share_is_between_one_unit_and_the_whole_quota() {
        let quota = Quota::per_minute(10).unwrap();
        let shares = [
            (0.5, 5),
            (0.01, 1),
            (0.0, 1),
            (-1.0, 1),
            (f64::NAN, 1),
            (1.0, 10),
        ];
        for (share, limit) in shares.into_iter().chain([(7.0, 10), (f64::INFINITY, 10)]) {
            assert_eq!(quota.share(share).limit(), limit, "{share}");
        }
    }
}
