//! The services that keep one kind of data each, set as an operator needs them.

use super::Inspector;

#[cfg(feature = "session")]
impl Inspector {
    /// The sessions of `user`, by the name that [`Session::login`](crate::session::Session::login)
    /// gets: to list them and to end one or all, at once and in every process.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_keep::{Store, inspect::Inspector};
    ///
    /// let sessions = Inspector::new(Store::memory()).user_sessions("ada")?;
    /// for session in sessions.list().await? {
    ///     println!("{} on {}", session.handle, session.device);
    ///     sessions.revoke(&session.handle).await?;
    /// }
    /// assert_eq!(sessions.revoke_all().await?, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidUser`](crate::session::SessionError::InvalidUser) when `user` is not 1 to 256 bytes.
    #[cfg_attr(docsrs, doc(cfg(feature = "session")))]
    pub fn user_sessions(
        &self,
        user: &str,
    ) -> Result<crate::session::UserSessions, crate::session::SessionError> {
        crate::session::UserSessions::new(self.store.clone(), user)
    }
}

#[cfg(feature = "refresh-token")]
impl Inspector {
    /// The refresh tokens, to list a user's and to revoke them. The absolute lifetime is the
    /// default one: a family that an application ends sooner is listed until its token expires.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_keep::{Store, inspect::Inspector};
    ///
    /// let tokens = Inspector::new(Store::memory()).refresh_tokens();
    /// for family in tokens.list("ada").await? {
    ///     println!("{} for {}", family.id, family.grant.client());
    /// }
    /// tokens.revoke_user("ada").await?;
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "refresh-token")))]
    pub fn refresh_tokens(&self) -> crate::refresh_token::RefreshTokens {
        crate::refresh_token::RefreshTokens::new(self.store.clone())
    }
}

#[cfg(feature = "rate-limit")]
impl Inspector {
    /// A limiter of `policy`, to see what is left and to give it back: by the key of a
    /// [`RateLimiter`](crate::rate_limit::RateLimiter)'s own calls, or by a request as a layer
    /// counts it. The policy is the application's, word for word, and so are its
    /// [secret](crate::rate_limit::RateLimiter::with_secret) and
    /// [ban](crate::rate_limit::RateLimiter::with_ban), if it has them.
    ///
    /// It asks the store each time, and a store that fails is an error and never a guess.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_keep::{Store, inspect::Inspector, rate_limit::Key};
    ///
    /// let inspector = Inspector::new(Store::memory());
    /// let logins = inspector.rate_limiter(r#""login";q=5;w=60"#.parse()?);
    /// println!("{:?}", logins.peek("ada").await?.tightest());
    /// logins.reset("ada").await?;
    ///
    /// // As `RateLimitLayer::with_key(Key::header(…))` counts.
    /// let request = http::Request::get("/").header("x-api-key", "k-7").body(())?;
    /// let key: Key = "header:x-api-key".parse()?;
    /// logins.reset_request(&key, &request.into_parts().0).await?;
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "rate-limit")))]
    pub fn rate_limiter(
        &self,
        policy: crate::rate_limit::QuotaPolicy,
    ) -> crate::rate_limit::RateLimiter {
        use crate::rate_limit::{RateLimitOnStoreError, RateLimiter};
        RateLimiter::new(self.store.clone(), policy)
            .on_store_error(RateLimitOnStoreError::Deny)
            .with_denial_recheck(std::time::Duration::ZERO)
    }
}

#[cfg(feature = "cache")]
impl Inspector {
    /// Purges what a cache without a [partition](crate::cache::CacheLayer::with_partition) has
    /// stored, by URI or tag, in every process. For one with a partition, take the
    /// [handle](crate::cache::CacheLayer::handle) of a layer with the same.
    ///
    /// Anything but [`Everywhere`](crate::cache::Purged::Everywhere) is a purge that the store has
    /// not taken. It is repeated while the handle lives, which in a program that ends is soon over.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_keep::{Store, cache::Purged, inspect::Inspector};
    ///
    /// let cache = Inspector::new(Store::memory()).cache();
    /// let uri = "http://shop.example/products/7".parse()?;
    /// assert_eq!(cache.purge_uri(&uri).await, Purged::Everywhere);
    /// assert_eq!(cache.purge_tags(["product-7"]).await, Purged::Everywhere);
    /// cache.soft_purge_tags(["product-7"]).await?;
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "cache")))]
    pub fn cache(&self) -> crate::cache::CacheHandle {
        crate::cache::CacheLayer::new(self.store.clone()).handle()
    }
}
