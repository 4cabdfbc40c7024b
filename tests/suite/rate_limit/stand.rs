//! The store of one test, whatever it is.

use std::time::Duration;

use tower_keep::rate_limit::RateLimiter;
use tower_keep::{Store, StoreConfig};

use super::policy;
use crate::harness::redis::Backend;

/// For a machine that is busy with tests.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store, and the servers behind it if there are some.
pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) backend: Option<Backend>,
}

impl Stand {
    pub(super) fn memory() -> Self {
        Self {
            store: Store::memory(),
            backend: None,
        }
    }

    pub(super) async fn on(backend: Backend) -> Self {
        Self {
            store: backend.connected(PATIENCE).await,
            backend: Some(backend),
        }
    }

    /// What makes the store of another process, which may have a runtime of its own.
    pub(super) fn other_store(&self) -> impl FnOnce() -> Store + Send + 'static {
        let servers = (self.backend.as_ref()).map(|backend| (backend.url(), backend.authority()));
        let memory = self.store.clone();
        move || {
            let Some((url, authority)) = servers else {
                return memory;
            };
            let config = StoreConfig::from_url(&url).unwrap();
            let config = match authority {
                Some(file) => config.with_root_certificates(std::fs::read(file).unwrap()),
                None => config,
            };
            config.with_deadline(PATIENCE).build().unwrap()
        }
    }

    pub(super) fn limiter(&self, item: &str) -> RateLimiter {
        RateLimiter::new(self.store.clone(), policy(item))
    }

    pub(super) fn assert_tidy(&self) {
        if let Some(backend) = &self.backend {
            backend.assert_every_key_has_a_ttl();
        }
    }

    /// That nothing is stored.
    pub(super) fn assert_empty(&self) {
        if let Some(backend) = &self.backend {
            assert_eq!(backend.keys("keep:*"), [""; 0]);
        }
    }
}

/// Makes each function a test on embedded memory and on a single Redis: for what is the same on
/// every topology.
macro_rules! on_memory_and_redis {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(super::Stand::memory()).await;
                }
            )*
        }
        crate::harness::on_redis!(redis: $($test),*);
    };
}
pub(super) use on_memory_and_redis;
