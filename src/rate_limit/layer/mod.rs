//! The layer: what is limited, by what, and what happens then.

mod costs;
mod presets;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, request::Parts};
use tower_layer::Layer;

use super::{
    denial::Denial,
    fields::HeaderDialect,
    key::{Key, MissingKey},
    limiter::{BanPolicy, RateLimitOnStoreError, RateLimiter, check_joint},
    policy::{Quota, QuotaPolicy, QuotaPolicyError},
    service::RateLimit,
    settings::{QuotaSource, Settings},
};
use crate::store::Store;

/// Limits the requests to a service.
///
/// | Setting | Default |
/// |---|---|
/// | [`with_key`](Self::with_key) | the peer's address, IPv6 by /64 |
/// | [`and_limiter`](Self::and_limiter) | all policies are counted by that key |
/// | [`on_missing_key`](Self::on_missing_key) | one budget for all requests without the key |
/// | [`with_cost`](Self::with_cost) | 1 |
/// | [`with_settled_cost`](Self::with_settled_cost), [`with_abandoned_cost`](Self::with_abandoned_cost) | what a request was charged stays |
/// | [`with_skip`](Self::with_skip) | no request is skipped |
/// | [`with_quota`](Self::with_quota), [`with_quota_provider`](Self::with_quota_provider) | the policy's own |
/// | [`with_ban`](Self::with_ban) | nobody is banned |
/// | [`with_max_wait`](Self::with_max_wait) | nothing waits |
/// | [`on_store_error`](Self::on_store_error) | a limiter in this process takes over |
/// | [`with_headers`](Self::with_headers) | the newest draft of the RateLimit fields |
/// | [`with_partition_key`](Self::with_partition_key) | not told |
/// | [`with_shadow`](Self::with_shadow) | off: what is denied is refused |
/// | [`with_response`](Self::with_response) | problem details, to gRPC calls a status |
/// | [`with_denial_recheck`](Self::with_denial_recheck) | 5 s |
/// | [`with_secret`](Self::with_secret) | the store's namespace |
///
/// All services that one layer makes share what it remembers.
#[derive(Debug, Clone)]
pub struct RateLimitLayer(Arc<Settings>);

impl RateLimitLayer {
    /// Enforces `policy` for each peer address.
    #[must_use]
    pub fn new(store: Store, policy: QuotaPolicy) -> Self {
        Self::from_limiter(RateLimiter::new(store, policy))
    }

    /// Asks `limiter`, with which it shares counts, denials and places. It counts by the
    /// [`Key`], whose values are others than the keys of the limiter's own calls. A layer that is
    /// given another policy, ban, [recheck](Self::with_denial_recheck) or share of blocks afterwards
    /// remembers denials of its own.
    #[must_use]
    pub fn from_limiter(limiter: RateLimiter) -> Self {
        Self(Arc::new(Settings::new(limiter)))
    }

    /// Enforces `policy` too: a request passes if it passes all policies, and consumes of all
    /// of them or of none. The store is asked once whatever their number.
    ///
    /// # Errors
    ///
    /// When the layer has a policy of that name.
    pub fn and_policy(self, policy: QuotaPolicy) -> Result<Self, QuotaPolicyError> {
        let limiter = self.0.limiter.clone().and_policy(policy)?;
        self.set(|settings| settings.limiter = limiter).checked()
    }

    /// Asks `limiter` too, by a `key` of its own: a request passes if all admit it, and consumes of
    /// all of them or of none. So requests can be limited by address, by API key and as a whole:
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_keep::{Store, rate_limit::{Key, RateLimitLayer, RateLimiter}};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::memory();
    /// let per_api_key = RateLimiter::new(store.clone(), r#""key";q=1000;w=3600"#.parse()?);
    /// let everybody = RateLimiter::new(store.clone(), r#""all";q=5000;w=1"#.parse()?);
    ///
    /// let limit = RateLimitLayer::per_second(store, 10)?
    ///     .and_limiter(per_api_key, Key::header(HeaderName::from_static("x-api-key")))?
    ///     .and_limiter(everybody, Key::global())?;
    /// # Ok(()) }
    /// # example().unwrap();
    /// ```
    ///
    /// One `EVALSHA` on a single server, on a cluster one for each key in one round trip: see
    /// [`JointRateLimiter`](super::JointRateLimiter), which also says what happens there on a denial.
    /// The limiter keeps its own ban and what it does when the store fails; the layer's settings of
    /// these are those of its first limiter. A key that is missing follows
    /// [`on_missing_key`](Self::on_missing_key).
    ///
    /// # Errors
    ///
    /// When the layer has a policy of the same name, one of the limiters takes
    /// [blocks](Self::with_blocks), or it has another store.
    pub fn and_limiter(self, limiter: RateLimiter, key: Key) -> Result<Self, QuotaPolicyError> {
        self.set(|settings| settings.others.push((limiter, key)))
            .checked()
    }

    /// Refuses limiters that cannot be asked as one.
    fn checked(self) -> Result<Self, QuotaPolicyError> {
        check_joint(self.0.limiters()).map(|()| self)
    }

    /// Counts requests by `key`.
    #[must_use]
    pub fn with_key(self, key: Key) -> Self {
        self.set(|settings| settings.key = key)
    }

    /// Decides what is done with requests that do not have the key.
    #[must_use]
    pub fn on_missing_key(self, missing_key: MissingKey) -> Self {
        self.set(|settings| settings.missing_key = missing_key)
    }

    /// Lets requests for which `skip` is true pass without a limit and without its fields.
    #[must_use]
    pub fn with_skip(self, skip: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.skip = Some(Arc::new(skip)))
    }

    /// Takes the quota of the policy `name` from the request; `None` is the policy's own. A raised
    /// quota is in force with the next request, in each process as soon as `quota` says it there.
    ///
    /// A client's use is a fraction of the quota and stays that. With another window it
    /// counts anew.
    ///
    /// ```
    /// use tower_keep::{Store, rate_limit::{Quota, RateLimitLayer}};
    ///
    /// #[derive(Clone)]
    /// struct Plan { per_minute: u64 }
    ///
    /// # fn example() -> Result<RateLimitLayer, Box<dyn std::error::Error>> {
    /// let limit = RateLimitLayer::per_minute(Store::memory(), 100)?;
    /// let limit = limit.with_quota("minute", |request| {
    ///     let plan: &Plan = request.extensions.get()?;
    ///     Quota::per_minute(plan.per_minute).ok()
    /// })?;
    /// # Ok(limit) }
    /// # example().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the layer has no policy of that name.
    pub fn with_quota(
        self,
        name: &str,
        quota: impl Fn(&Parts) -> Option<Quota> + Send + Sync + 'static,
    ) -> Result<Self, QuotaPolicyError> {
        self.with_quota_source(name, QuotaSource::Request(Arc::new(quota)))
    }

    /// As [`with_quota`](Self::with_quota), of a quota that has to be waited for, as one in a
    /// database. Each request waits for it, so the provider had better remember its answers, and
    /// bound how long it takes; for how long it remembers is the time within which a raised quota
    /// takes effect.
    ///
    /// # Errors
    ///
    /// When the layer has no policy of that name.
    pub fn with_quota_provider<F, Fut>(
        self,
        name: &str,
        provider: F,
    ) -> Result<Self, QuotaPolicyError>
    where
        F: Fn(&Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Quota>> + Send + 'static,
    {
        let provider =
            move |request: &Parts| -> super::settings::QuotaFuture { Box::pin(provider(request)) };
        self.with_quota_source(name, QuotaSource::Provider(Arc::new(provider)))
    }

    fn with_quota_source(self, name: &str, source: QuotaSource) -> Result<Self, QuotaPolicyError> {
        let named = |limiter: &RateLimiter| limiter.policies().iter().any(|p| p.name() == name);
        if !self.0.limiters().any(named) {
            return Err(QuotaPolicyError::Unknown(name.to_owned()));
        }
        Ok(self.set(|settings| {
            settings.quotas.retain(|(policy, _)| **policy != *name);
            settings.quotas.push((name.into(), source));
        }))
    }

    /// Bans clients that are denied too often.
    ///
    /// # Errors
    ///
    /// As of [`RateLimiter::with_ban`].
    pub fn with_ban(self, ban: BanPolicy) -> Result<Self, QuotaPolicyError> {
        let limiter = self.0.limiter.clone().with_ban(ban)?;
        Ok(self.set(|settings| settings.limiter = limiter))
    }

    /// Delays requests that would be admitted within `max_wait` rather than refusing them, at most
    /// `queue` at a time in this process. Those of one client go in the order in which they came.
    /// See [`RateLimiter::with_max_wait`].
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration, queue: usize) -> Self {
        self.set_limiter(|limiter| limiter.with_max_wait(max_wait, queue))
    }

    /// Takes units of busy clients in blocks, so that most of their requests are answered without
    /// the store; see [`RateLimiter::with_blocks`].
    ///
    /// # Errors
    ///
    /// As of [`RateLimiter::with_blocks`].
    pub fn with_blocks(self, share: f64) -> Result<Self, QuotaPolicyError> {
        let limiter = self.0.limiter.clone().with_blocks(share)?;
        self.set(|settings| settings.limiter = limiter).checked()
    }

    /// Decides what happens while the store does not answer, refuses or has no room.
    #[must_use]
    pub fn on_store_error(self, on_store_error: RateLimitOnStoreError) -> Self {
        self.set_limiter(|limiter| limiter.on_store_error(on_store_error))
    }

    /// Chooses the fields that tell clients their limits.
    #[must_use]
    pub fn with_headers(self, dialect: HeaderDialect) -> Self {
        self.set(|settings| settings.dialect = dialect)
    }

    /// Tells clients by the parameter `pk` which budget is theirs: the digest that they are counted
    /// by, of which nothing can be learnt. Only the draft's own fields have it.
    #[must_use]
    pub fn with_partition_key(self) -> Self {
        self.set(|settings| settings.partition_key = true)
    }

    /// Counts and decides, and lets every request pass: for trying limits out. What would have been
    /// denied is logged with the level `INFO`, under the target `tower_keep::rate_limit`, and stands
    /// in the [decision](super::RateLimitDecision). Clients are told nothing.
    #[must_use]
    pub fn with_shadow(self, shadow: bool) -> Self {
        self.set(|settings| settings.shadow = shadow)
    }

    /// Replaces the responses to requests that are not let through. `response` gets the default
    /// one, with all its fields, to change or to drop. `Cache-Control: no-store` is added to what
    /// it returns, unless it says something about caching itself.
    #[must_use]
    pub fn with_response(
        self,
        response: impl Fn(&Denial<'_>, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.response = Some(Arc::new(response)))
    }

    /// After a denial, repeats of the request are denied in this process, without the store, until
    /// the time that the client was told. Every `interval` one of them asks the store
    /// nevertheless, so that a reset, a raised quota or a flush is seen. Default 5 s; zero asks
    /// for each request.
    #[must_use]
    pub fn with_denial_recheck(self, interval: Duration) -> Self {
        self.set_limiter(|limiter| limiter.with_denial_recheck(interval))
    }

    /// Hashes what requests are counted by under `secret`.
    ///
    /// Addresses, API keys and other values of the [`Key`] reach the store as BLAKE3 keyed
    /// hashes of 128 bits. By default the hash's key is derived from the store's namespace. That
    /// keeps tables made for other applications from being of use; but whoever reads the keys in
    /// the store and knows the namespace, which stands in them, can try out values, and there
    /// are only 2^32 IPv4 addresses. Under a secret that the store does not hold, of at least
    /// 16 random bytes, they learn nothing. All processes, and all layers that are to share a
    /// budget, need the same secret; with a new one all counts begin anew.
    #[must_use]
    pub fn with_secret(self, secret: impl AsRef<[u8]>) -> Self {
        self.set_limiter(|limiter| limiter.with_secret(secret))
    }

    /// The limiter that this layer asks.
    pub fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    fn set_limiter(self, change: impl FnOnce(RateLimiter) -> RateLimiter) -> Self {
        self.set(|settings| settings.limiter = change(settings.limiter.clone()))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.0);
        change(settings);
        settings.derive();
        self
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.0.clone())
    }
}
