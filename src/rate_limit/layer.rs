//! The layer: what is limited, by what, and what happens then.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, request::Parts};
use tower_layer::Layer;

use super::{
    config::Config,
    denial::Denial,
    fields::HeaderDialect,
    key::subject::SubjectKey,
    key::{Key, MissingKey},
    limiter::on_store_error::RateLimitOnStoreError,
    policy::{QuotaPolicy, QuotaPolicyError},
    service::RateLimit,
};
use crate::store::Store;

/// Limits the requests to a service.
///
/// | Setting | Default |
/// |---|---|
/// | [`with_key`](Self::with_key) | the peer's address, IPv6 by /64 |
/// | [`on_missing_key`](Self::on_missing_key) | one budget for all requests without the key |
/// | [`with_cost`](Self::with_cost) | 1 |
/// | [`with_skip`](Self::with_skip) | no request is skipped |
/// | [`on_store_error`](Self::on_store_error) | a limiter in this process takes over |
/// | [`with_headers`](Self::with_headers) | draft 10 of the RateLimit fields |
/// | [`with_response`](Self::with_response) | problem details, to gRPC calls a status |
/// | [`with_denial_recheck`](Self::with_denial_recheck) | 5 s |
/// | [`with_secret`](Self::with_secret) | the store's namespace |
///
/// All services that one layer makes share what it remembers.
#[derive(Debug, Clone)]
pub struct RateLimitLayer(Arc<Config>);

impl RateLimitLayer {
    /// Enforces `policy` for each peer address.
    pub fn new(store: Store, policy: QuotaPolicy) -> Self {
        Self(Arc::new(Config::new(store, policy)))
    }

    /// Enforces `policy` too: a request passes if it passes all policies, and consumes of all
    /// of them or of none. The store is asked once whatever their number.
    ///
    /// # Errors
    ///
    /// When the layer has a policy of that name.
    pub fn and_policy(self, policy: QuotaPolicy) -> Result<Self, QuotaPolicyError> {
        if self.0.policies.iter().any(|p| p.name() == policy.name()) {
            return Err(QuotaPolicyError::Duplicate(policy.name().to_owned()));
        }
        Ok(self.set(|config| {
            config.policies = config.policies.iter().cloned().chain([policy]).collect();
        }))
    }

    /// Counts requests by `key`.
    #[must_use]
    pub fn with_key(self, key: Key) -> Self {
        self.set(|config| config.key = key)
    }

    /// Decides what is done with requests that do not have the key.
    #[must_use]
    pub fn on_missing_key(self, missing_key: MissingKey) -> Self {
        self.set(|config| config.missing_key = missing_key)
    }

    /// Takes as many units as `cost` says. A request that costs 0 looks at the limits, consumes
    /// nothing and passes. One that costs more than a policy's whole quota is denied without
    /// `Retry-After`: it never fits.
    #[must_use]
    pub fn with_cost(self, cost: impl Fn(&Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.set(|config| config.cost = Some(Arc::new(cost)))
    }

    /// Lets requests for which `skip` is true pass without a limit and without its fields.
    #[must_use]
    pub fn with_skip(self, skip: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.set(|config| config.skip = Some(Arc::new(skip)))
    }

    /// Decides what happens while the store does not answer, refuses or has no room.
    #[must_use]
    pub fn on_store_error(self, failure: RateLimitOnStoreError) -> Self {
        self.set(|config| config.on_store_error = failure)
    }

    /// Chooses the fields that tell clients their limits.
    #[must_use]
    pub fn with_headers(self, dialect: HeaderDialect) -> Self {
        self.set(|config| config.dialect = dialect)
    }

    /// Replaces the responses to requests that are not let through. `factory` gets the default
    /// response, with all its fields, to change or to drop. `Cache-Control: no-store` is added
    /// to what it returns, unless it says something about caching itself.
    #[must_use]
    pub fn with_response(
        self,
        factory: impl Fn(&Denial<'_>, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.set(|config| config.factory = Some(Arc::new(factory)))
    }

    /// After a denial, repeats of the request are denied in this process, without the store, until
    /// the time that the client was told. Every `interval` one of them asks the store
    /// nevertheless, so that a reset, a raised quota or a flush is seen. Default 5 s; zero asks
    /// for each request.
    #[must_use]
    pub fn with_denial_recheck(self, interval: Duration) -> Self {
        self.set(|config| config.denial_recheck = interval)
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
        self.set(|config| config.subject_key = SubjectKey::of_secret(secret.as_ref()))
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        let config = Arc::make_mut(&mut self.0);
        change(config);
        config.derive();
        self
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.0.clone())
    }
}
