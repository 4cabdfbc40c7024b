//! The layer and its settings.

use std::{sync::Arc, time::Duration};

use http::request;
use http_body::Body;
use tower_layer::Layer;

use super::{
    cache_status::CacheName,
    error::CacheNameError,
    fill::{InFlight, Uncacheable},
    handle::CacheHandle,
    invalidation::Invalidations,
    lookup::StoredResponses,
    options::Options,
    policy::{CachePolicy, SetCookie},
    request_body::RequestBodies,
    service::ResponseCache,
    state::State,
};
use crate::store::Store;

/// Caches the responses of the inner service by RFC 9111, as a shared cache.
///
/// See the [module](super) for what it stores and when it reuses.
#[derive(Debug, Clone)]
pub struct CacheLayer {
    options: Options,
    // One for all services that the layer makes: a router makes one for each route.
    responses: Arc<StoredResponses>,
    in_flight: Arc<InFlight>,
    uncacheable: Arc<Uncacheable>,
    invalidations: Arc<Invalidations>,
}

impl CacheLayer {
    /// A cache in `store`, with the default [`CachePolicy`].
    pub fn new(store: Store) -> Self {
        let invalidations = Invalidations::new(store.clone());
        Self {
            options: Options::default(),
            responses: Arc::new(StoredResponses::new(store, invalidations.clone())),
            in_flight: Arc::default(),
            uncacheable: Arc::default(),
            invalidations,
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

    /// Sets how long a body that is being stored may pause. A longer pause is an error to all who
    /// read it, and nothing is stored. Default 30 seconds. A body that is not stored may pause for
    /// any time.
    #[must_use]
    pub fn with_body_idle(mut self, idle: Duration) -> Self {
        self.options.body_idle = idle;
        self
    }

    /// Sets how an empty request body is made. The cache needs one in a single case: when a 304 or
    /// a 206 does not fit the response that it is about, it asks the inner service again. Without
    /// an empty body the client gets a 502 then, and what was stored is removed. With it the cache
    /// also sees whether a GET has content that no field declares, as HTTP/2 allows; such a request
    /// is not answered from the cache.
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

    /// Keeps stored responses apart by what `partition` returns, for example by tenant or user:
    /// only requests with the same answer share them. Default: all requests share.
    #[must_use]
    pub fn with_partition(
        mut self,
        partition: impl Fn(&request::Parts) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.options.partition = Some(Arc::new(partition));
        self
    }

    /// Lets requests for which `bypass` is true go past the cache: they are not answered from it and
    /// not stored. Default: none do.
    #[must_use]
    pub fn with_bypass(
        mut self,
        bypass: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options.bypass = Some(Arc::new(bypass));
        self
    }
}

impl CacheLayer {
    /// A handle that purges what this cache has stored, by tag or by URI. Take it after the settings:
    /// the partition is that of the layer now.
    pub fn handle(&self) -> CacheHandle {
        CacheHandle {
            state: self.state(),
        }
    }

    fn state(&self) -> Arc<State> {
        Arc::new(State {
            options: Arc::new(self.options.clone()),
            responses: self.responses.clone(),
            in_flight: self.in_flight.clone(),
            uncacheable: self.uncacheable.clone(),
            invalidations: self.invalidations.clone(),
        })
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = ResponseCache<S>;

    fn layer(&self, inner: S) -> ResponseCache<S> {
        ResponseCache {
            inner,
            state: self.state(),
        }
    }
}
