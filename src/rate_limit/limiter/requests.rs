//! The calls for a client as a layer counts it, by its requests.

use http::request::Parts;

use super::{RateLimitDecision, RateLimiter};
use crate::{rate_limit::Key, store::StoreError};

impl RateLimiter {
    /// As [`peek`](Self::peek), for the client that a layer with this `key` counts `request` for:
    /// what an administrator asks, with a request that has what the key looks at and nothing else.
    /// A request without it is one of all those that share a budget. A
    /// [session's user](Key::session_user) is named by the extension
    /// [`SessionUser`](crate::rate_limit::SessionUser). One `EVALSHA`.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::{Key, RateLimiter}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::net::SocketAddr;
    /// use tower_keep::PeerAddr;
    ///
    /// let limiter = RateLimiter::new(Store::memory(), r#""burst";q=100;w=60"#.parse()?);
    /// let client = PeerAddr(SocketAddr::from(([192, 0, 2, 7], 0)));
    /// let (request, ()) = http::Request::builder().extension(client).body(())?.into_parts();
    ///
    /// let decision = limiter.peek_request(&Key::peer_ip(), &request).await?;
    /// assert_eq!(decision.tightest().unwrap().remaining(), 100);
    /// limiter.reset_request(&Key::peer_ip(), &request).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn peek_request(
        &self,
        key: &Key,
        request: &Parts,
    ) -> Result<RateLimitDecision, StoreError> {
        let (subject, _) = key.subject(&self.limits.subject_key, request);
        Ok(self.ask(subject, 0, false).await?.into_decision())
    }

    /// As [`reset`](Self::reset), for the client that a layer with this `key` counts `request` for:
    /// see [`peek_request`](Self::peek_request). One `UNLINK`.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn reset_request(&self, key: &Key, request: &Parts) -> Result<(), StoreError> {
        let (subject, _) = key.subject(&self.limits.subject_key, request);
        self.limits.reset(&self.set, subject).await
    }
}
