//! The layer and its settings.

use std::{sync::Arc, time::Duration};

use http::request;
use http_body::Body;
use tower_layer::Layer;

use super::{
    cache_status::CacheName,
    decoded::DecodedHeads,
    in_flight::InFlight,
    invalidations::Invalidations,
    lookup::VaryMemory,
    options::Options,
    policy::{CachePolicy, SetCookie},
    request_body::RequestBodies,
    service::ResponseCache,
    state::State,
    uncacheable::Uncacheable,
};
use crate::store::Store;

/// Caches the responses of the inner service by RFC 9111, as a shared cache.
///
/// See the [module](super) for what it stores and when it reuses.
#[derive(Debug, Clone)]
pub struct CacheLayer {
    store: Store,
    options: Options,
    // One for all services that the layer makes: a router makes one for each route.
    in_flight: Arc<InFlight>,
    vary: Arc<VaryMemory>,
    decoded: Arc<DecodedHeads>,
    uncacheable: Arc<Uncacheable>,
    invalidations: Arc<Invalidations>,
}

/// A name that `Cache-Status` cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("cache name {0:?} cannot be written in Cache-Status: use visible ASCII")]
pub struct CacheNameError(String);

impl CacheLayer {
    /// A cache in `store`, with the default [`CachePolicy`].
    pub fn new(store: Store) -> Self {
        Self {
            invalidations: Invalidations::new(store.clone()),
            store,
            options: Options::default(),
            in_flight: Arc::default(),
            vary: Arc::default(),
            decoded: Arc::default(),
            uncacheable: Arc::default(),
        }
    }

    /// Sets how RFC 9111 is applied where it leaves a choice.
    #[must_use]
    pub fn with_policy(mut self, policy: CachePolicy) -> Self {
        let set_cookie = self.options.policy.set_cookie();
        self.options.policy = policy.with_set_cookie(set_cookie);
        self
    }

    /// Sets the name of this cache in `Cache-Status` (RFC 9211). Default `tower-keep`.
    ///
    /// # Errors
    ///
    /// When `name` is not visible ASCII.
    pub fn with_name(mut self, name: &str) -> Result<Self, CacheNameError> {
        self.options.name =
            CacheName::new(name).ok_or_else(|| CacheNameError(name.chars().take(80).collect()))?;
        Ok(self)
    }

    /// Sets the longest body that is stored, in bytes. A longer one passes whole and unstored.
    /// Default 1 MiB. Up to so many bytes are held in memory for each response being stored, and for
    /// all of them together 64 MiB, or four times this if that is more.
    #[must_use]
    pub fn with_max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = bytes;
        self
    }

    /// Sets how many variants of one resource (by `Vary`) are kept; the oldest go first.
    /// Default 32.
    #[must_use]
    pub fn with_max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants.max(1);
        self
    }

    /// Sets what becomes of responses with `Set-Cookie`. Default [`SetCookie::Refuse`].
    #[must_use]
    pub fn with_set_cookie(mut self, set_cookie: SetCookie) -> Self {
        self.options.policy = self.options.policy.with_set_cookie(set_cookie);
        self
    }

    /// Sets how long nothing may come of a body that is being stored. After that it is an error
    /// to all who read it, and nothing is stored. Default 30 seconds. A body that is not stored
    /// may pause for as long as it likes.
    #[must_use]
    pub fn with_body_idle(mut self, idle: Duration) -> Self {
        self.options.body_idle = idle;
        self
    }

    /// Says how an empty body of a request is made, for the one case in which the cache makes a
    /// request of its own: when a 304 or a 206 does not fit the response that it is about, the
    /// inner service is asked again. Without it the client gets a 502 then, and what was stored
    /// goes. It also lets the cache see whether a GET has content where HTTP/2 does not say so in
    /// its fields; such a request is not answered from the cache.
    ///
    /// axum's `Body`, `http_body_util`'s `Empty<Bytes>` and `Full<Bytes>`, and `String` are known
    /// without this. Of several calls the last one counts.
    #[must_use]
    pub fn with_empty_body<B: Body + 'static>(
        mut self,
        empty: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        self.options.request_bodies = RequestBodies::new(empty);
        self
    }

    /// Keeps what is stored apart by what `partition` answers: a tenant or a user, say.
    #[must_use]
    pub fn with_partition(
        mut self,
        partition: impl Fn(&request::Parts) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.options.partition = Some(Arc::new(partition));
        self
    }

    /// Lets requests for which `bypass` is true go past the cache: not answered from it and
    /// not stored.
    #[must_use]
    pub fn with_bypass(
        mut self,
        bypass: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options.bypass = Some(Arc::new(bypass));
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = ResponseCache<S>;

    fn layer(&self, inner: S) -> ResponseCache<S> {
        let state = State {
            store: self.store.clone(),
            options: self.options.clone(),
            in_flight: self.in_flight.clone(),
            vary: self.vary.clone(),
            decoded: self.decoded.clone(),
            uncacheable: self.uncacheable.clone(),
            invalidations: self.invalidations.clone(),
        };
        ResponseCache {
            inner,
            state: Arc::new(state),
        }
    }
}
