//! Layers for the limits that most applications begin with.

use super::RateLimitLayer;
use crate::{
    rate_limit::policy::{Quota, QuotaError, QuotaPolicy},
    store::Store,
};

impl RateLimitLayer {
    /// Admits `limit` requests a second for each peer address, by GCRA under the name `second`.
    ///
    /// ```
    /// use tower_keep::{Store, rate_limit::RateLimitLayer};
    ///
    /// let limit = RateLimitLayer::per_second(Store::memory(), 10)?;
    /// # Ok::<(), tower_keep::rate_limit::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `limit` is 0 or more than [`Quota::MAX_LIMIT`].
    pub fn per_second(store: Store, limit: u64) -> Result<Self, QuotaError> {
        Ok(Self::preset(store, "second", Quota::per_second(limit)?))
    }

    /// Admits `limit` requests a minute for each peer address, by GCRA under the name `minute`.
    ///
    /// # Errors
    ///
    /// When `limit` is 0 or more than [`Quota::MAX_LIMIT`].
    pub fn per_minute(store: Store, limit: u64) -> Result<Self, QuotaError> {
        Ok(Self::preset(store, "minute", Quota::per_minute(limit)?))
    }

    /// Admits `limit` requests an hour for each peer address, by GCRA under the name `hour`.
    ///
    /// # Errors
    ///
    /// When `limit` is 0 or more than [`Quota::MAX_LIMIT`].
    pub fn per_hour(store: Store, limit: u64) -> Result<Self, QuotaError> {
        Ok(Self::preset(store, "hour", Quota::per_hour(limit)?))
    }

    /// Admits `limit` requests a day for each peer address, by GCRA under the name `day`.
    ///
    /// # Errors
    ///
    /// When `limit` is 0 or more than [`Quota::MAX_LIMIT`].
    pub fn per_day(store: Store, limit: u64) -> Result<Self, QuotaError> {
        Ok(Self::preset(store, "day", Quota::per_day(limit)?))
    }

    fn preset(store: Store, name: &str, quota: Quota) -> Self {
        let policy = QuotaPolicy::gcra(name, quota).expect("the names of the presets are valid");
        Self::new(store, policy)
    }
}
