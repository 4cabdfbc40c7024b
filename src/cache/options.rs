//! The settings of a layer.

use std::{fmt, sync::Arc, time::Duration};

use http::request;

use super::{cache_status::CacheName, policy::CachePolicy, request_body::RequestBodies};

/// Tells tenants or users apart: requests for which it returns the same bytes share what is stored.
pub(super) type Partition = Arc<dyn Fn(&request::Parts) -> Option<Vec<u8>> + Send + Sync>;
/// Whether a request goes past the cache, neither answered from it nor stored.
pub(super) type Bypass = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;

#[derive(Clone)]
pub(super) struct Options {
    pub(super) policy: CachePolicy,
    pub(super) name: CacheName,
    pub(super) max_body: u64,
    pub(super) max_variants: usize,
    pub(super) partition: Option<Partition>,
    pub(super) bypass: Option<Bypass>,
    /// How long a fill may take before its announcement lapses and it is not stored.
    pub(super) fill_lease: Duration,
    /// How long a body that is being stored may pause.
    pub(super) body_idle: Duration,
    pub(super) request_bodies: RequestBodies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy: CachePolicy::default(),
            name: CacheName::new("tower-keep").expect("it is a token"),
            max_body: 1 << 20,
            max_variants: 32,
            partition: None,
            bypass: None,
            fill_lease: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            request_bodies: RequestBodies::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("policy", &self.policy)
            .field("name", &self.name)
            .field("max_body", &self.max_body)
            .field("max_variants", &self.max_variants)
            .field("fill_lease", &self.fill_lease)
            .field("body_idle", &self.body_idle)
            .finish_non_exhaustive()
    }
}
