//! How much in how long.

use std::time::Duration;

use super::algorithm::{Algorithm, Limit};

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

/// Why a quota cannot be enforced exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limit is 0, or more than an integer of a header field can say.
    #[error("a quota of {0} units: expected 1 to {max}", max = Quota::MAX_LIMIT)]
    Limit(u64),
    /// The window is no whole number of seconds, which is all that the header fields can say,
    /// or is 0 or so long that its microseconds are not exact in Redis' scripts.
    #[error("a window of {0:?}: expected whole seconds from 1 to {max}", max = Quota::MAX_WINDOW.as_secs())]
    Window(Duration),
    /// One unit comes back every so many microseconds, and rounding that up would make GCRA
    /// more than 1 % stricter than the quota says.
    #[error(
        "a quota of {limit} per {window:?} is not exact under GCRA, whose units come back after whole microseconds: use {instead} or alg=fixed"
    )]
    Inexact {
        /// The quota's units.
        limit: u64,
        /// The quota's window.
        window: Duration,
        /// The next lower quota that is exact.
        instead: u64,
    },
}

impl Quota {
    /// The most units: what an Integer of a structured field can say (RFC 9651, 3.3.1).
    pub const MAX_LIMIT: u64 = 999_999_999_999_999;

    /// The longest window, 71 years: 2^51 µs, so that a date plus two windows is exact in the
    /// doubles of Redis' scripts.
    pub const MAX_WINDOW: Duration = Duration::from_secs((1 << 51) / 1_000_000);

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
    pub(super) fn share(&self, share: f64) -> Self {
        // A cast from a float saturates, and makes 0 of what is no number.
        let limit = (self.limit as f64 * share).ceil() as u64;
        Self {
            limit: limit.clamp(1, self.limit),
            ..*self
        }
    }

    /// The quota as `algorithm` counts it.
    ///
    /// GCRA's emission interval is rounded up to a whole microsecond, never down, so that the
    /// limiter never admits more than the quota. The price is at most 1 % of the rate, and
    /// below 1,000 units a second at most 0.1 %.
    pub(super) fn under(&self, algorithm: Algorithm) -> Result<Limit, QuotaError> {
        let window = self.window.as_secs() * 1_000_000;
        let interval = match algorithm {
            Algorithm::Gcra => window.div_ceil(self.limit),
            Algorithm::FixedWindow => window,
        };
        if algorithm == Algorithm::Gcra && interval * self.limit - window > window / 100 {
            return Err(QuotaError::Inexact {
                limit: self.limit,
                window: self.window,
                instead: window / interval,
            });
        }
        Ok(Limit {
            algorithm,
            quota: self.limit,
            interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gcra(limit: u64, window: u64) -> Result<Limit, QuotaError> {
        Quota::new(limit, Duration::from_secs(window))?.under(Algorithm::Gcra)
    }

    #[test]
    fn a_quota_that_cannot_be_counted_exactly_is_refused() {
        let message = |error: QuotaError| error.to_string();
        assert_eq!(gcra(0, 10).unwrap_err(), QuotaError::Limit(0));
        assert!(gcra(Quota::MAX_LIMIT + 1, 10).is_err());
        assert_eq!(
            gcra(5, 0).map_err(message).unwrap_err(),
            "a window of 0ns: expected whole seconds from 1 to 2251799813"
        );
        assert!(gcra(5, Quota::MAX_WINDOW.as_secs() + 1).is_err());
        assert!(gcra(5, u64::MAX).is_err());
        assert!(Quota::new(5, Duration::from_millis(1_500)).is_err());
        assert_eq!(
            gcra(300_000, 1).unwrap_err(),
            QuotaError::Inexact {
                limit: 300_000,
                window: Duration::from_secs(1),
                instead: 250_000
            }
        );
        assert!(gcra(250_000, 1).is_ok());
        // More than a unit a microsecond.
        assert!(gcra(2_000_000, 1).is_err());
        assert!(
            Quota::new(300_000, Duration::from_secs(1))
                .unwrap()
                .under(Algorithm::FixedWindow)
                .is_ok()
        );
    }

    #[test]
    fn an_interval_that_is_no_whole_microsecond_is_rounded_to_the_strict_side() {
        assert_eq!(gcra(5, 10).unwrap().interval, 2_000_000);
        assert_eq!(gcra(7, 10).unwrap().interval, 1_428_572);
        for (limit, window) in [
            (7, 10),
            (3, 1),
            (9_999, 1),
            (50, 3_600),
            (11, 2_251_799_813),
        ] {
            let interval = gcra(limit, window).unwrap().interval;
            let exact = window as f64 * 1e6 / limit as f64;
            assert!(interval as f64 >= exact && interval as f64 <= exact * 1.01 + 1.0);
        }
    }

    #[test]
    fn the_largest_quota_stays_exact_in_a_double_until_the_year_2100() {
        let limit = gcra(11, Quota::MAX_WINDOW.as_secs()).unwrap();
        let year_2100 = 4_102_444_800_000_000;
        assert!(year_2100 + 2 * limit.quota * limit.interval < 1 << 53);
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
