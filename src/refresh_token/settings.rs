//! How long tokens live, and what a reuse calls.

use std::{sync::Arc, time::Duration};

use super::{
    RefreshTokenConfigError, RefreshTokens, Reuse,
    config::{self, Config},
};

impl RefreshTokens {
    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Begins every token with `prefix`, by which scanners find those that leak. Tokens with
    /// another one are unknown from then on.
    ///
    /// # Errors
    ///
    /// When it is not up to 32 of `a-z A-Z 0-9 _ -`.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, RefreshTokenConfigError> {
        let prefix = config::prefix(prefix)?;
        Ok(self.set(|config| config.prefix = prefix))
    }

    /// How long a token can be exchanged, by the store's clock. Default 7 days.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_idle_lifetime(self, idle: Duration) -> Result<Self, RefreshTokenConfigError> {
        let idle = config::lifetime("idle lifetime", idle)?;
        Ok(self.set(|config| config.idle = idle))
    }

    /// How long after its login a family ends, however often it is rotated. Default 30 days.
    /// What it was when a family began does not matter: a shorter one ends those that are older.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_absolute_lifetime(
        self,
        absolute: Duration,
    ) -> Result<Self, RefreshTokenConfigError> {
        let absolute = config::lifetime("absolute lifetime", absolute)?;
        Ok(self.set(|config| config.absolute = absolute))
    }

    /// For how long a token that was exchanged still gives its successor, the same one each time,
    /// unless that was used: for clients that lose an answer or ask twice at once. Default 10 s.
    ///
    /// Zero takes every second use for a theft, also one whose answer was lost.
    ///
    /// # Errors
    ///
    /// When it is more than an hour: so long a stolen token goes unnoticed.
    pub fn with_grace(self, grace: Duration) -> Result<Self, RefreshTokenConfigError> {
        let grace = config::grace(grace)?;
        Ok(self.set(|config| config.grace = grace))
    }

    /// How many families, that is logins, a user may have. One more ends the one that was not
    /// used for longest. Default 100.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 1000.
    pub fn with_max_families(self, most: usize) -> Result<Self, RefreshTokenConfigError> {
        let most = config::max_families(most)?;
        Ok(self.set(|config| config.max_families = most))
    }

    /// Calls `event` when a token was used twice and its family is revoked for it, before the
    /// rotation answers. Once a family. It is to return soon: spawn what takes time.
    ///
    /// ```
    /// use tower_keep::{Store, refresh_token::RefreshTokens};
    ///
    /// let tokens = RefreshTokens::new(Store::memory())
    ///     .on_reuse(|reuse| println!("write to {}: somebody has your login", reuse.grant.user()));
    /// ```
    #[must_use]
    pub fn on_reuse(self, event: impl Fn(&Reuse) + Send + Sync + 'static) -> Self {
        self.set(|config| config.on_reuse = Some(Arc::new(event)))
    }
}
