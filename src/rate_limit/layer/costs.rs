//! What requests cost, before and after it is known.

use std::sync::Arc;

use http::{request::Parts, response};

use super::RateLimitLayer;

impl RateLimitLayer {
    /// Takes as many units as `cost` says. A request that costs 0 looks at the limits, consumes
    /// nothing and passes. One that costs more than a policy's whole quota is denied without
    /// `Retry-After`: it never fits. Of a concurrency limit a request takes one place, whatever
    /// it costs.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::RateLimitLayer};
    /// # let limit = RateLimitLayer::per_minute(Store::memory(), 100)?;
    /// // A search costs ten times as much as any other request.
    /// let limit = limit.with_cost(|request| match request.uri.path() {
    ///     "/search" => 10,
    ///     _ => 1,
    /// });
    /// # Ok::<(), tower_keep::rate_limit::QuotaError>(())
    /// ```
    #[must_use]
    pub fn with_cost(self, cost: impl Fn(&Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.cost = Some(Arc::new(cost)))
    }

    /// Corrects what a request costs by its response: `cost` gets the response's head and what was
    /// charged, and says what it costs. What is not needed goes back, what was needed beyond is
    /// taken as far as there is some. The response does not wait for it. A request whose response
    /// never comes stays charged, unless [`with_abandoned_cost`](Self::with_abandoned_cost) says
    /// otherwise.
    ///
    /// One `EVALSHA` for each request whose cost changes.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::RateLimitLayer};
    /// # let limit = RateLimitLayer::per_minute(Store::memory(), 100)?;
    /// // Our own failures cost nobody anything.
    /// let limit = limit.with_settled_cost(|response, charged| {
    ///     if response.status.is_server_error() { 0 } else { charged }
    /// });
    /// # Ok::<(), tower_keep::rate_limit::QuotaError>(())
    /// ```
    #[must_use]
    pub fn with_settled_cost(
        self,
        cost: impl Fn(&response::Parts, u64) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| {
            settings.settle = Some(Arc::new(cost));
            settings.reserves = true;
        })
    }

    /// Corrects what a request costs whose response never comes, since its client has left or its
    /// handler has panicked or failed: `cost` gets what was charged. Without this it stays charged,
    /// so that no client gets work for nothing by leaving early.
    ///
    /// Each request is settled once, by whichever comes first: this, its response
    /// ([`with_settled_cost`](Self::with_settled_cost)) or its handler
    /// ([`settle`](crate::rate_limit::RateLimitDecision::settle)). What a process that crashes has reserved comes
    /// back by time, and so does what was charged to a client who has left before the limits have
    /// answered.
    ///
    /// One `EVALSHA` for each such request whose cost changes.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::RateLimitLayer};
    /// # let limit = RateLimitLayer::per_minute(Store::memory(), 100)?.with_cost(|_| 10);
    /// // Of ten units that were reserved for an answer, one is for having asked.
    /// let limit = limit.with_abandoned_cost(|charged| charged.min(1));
    /// # Ok::<(), tower_keep::rate_limit::QuotaError>(())
    /// ```
    #[must_use]
    pub fn with_abandoned_cost(self, cost: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Self {
        self.set(|settings| {
            settings.abandoned = Some(Arc::new(cost));
            settings.reserves = true;
        })
    }

    /// Reserves what a request costs, so that its handler can
    /// [settle](crate::rate_limit::RateLimitDecision::settle) it once it knows, for instance how many tokens an
    /// answer took. A reservation costs Redis two commands more inside of the script.
    #[must_use]
    pub fn with_reservations(self) -> Self {
        self.set(|settings| settings.reserves = true)
    }
}
