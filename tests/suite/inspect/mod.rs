//! What an operator sees. Not as the README's service user, who may not ask.

mod decoded;
mod keys;
mod namespace;
mod rights;
mod servers;
mod services;
mod values;

use tower_keep::{Store, inspect::Inspector, key_value::KeyValue};

use crate::harness::{connected::PATIENT, redis::Backend};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// A store, and what is asked of it.
struct Stand {
    store: Store,
    inspector: Inspector,
    backend: Option<Backend>,
}

impl Stand {
    fn memory() -> Self {
        Self::new(Store::memory(), None)
    }

    async fn on(backend: Backend) -> Self {
        Self::new(backend.connected(PATIENT).await, Some(backend))
    }

    fn new(store: Store, backend: Option<Backend>) -> Self {
        Self {
            inspector: Inspector::new(store.clone()),
            store,
            backend,
        }
    }

    /// Values under this prefix, in this namespace.
    fn values(&self, namespace: &str, prefix: &str) -> KeyValue {
        let store = self.store.clone().with_namespace(namespace).unwrap();
        KeyValue::new(store, prefix).unwrap()
    }

    /// So many users in this namespace.
    async fn users(&self, namespace: &str, count: usize) {
        let users = self.values(namespace, "user");
        for id in 0..count {
            users.set(id, "somebody", HOUR).await.unwrap();
        }
    }

    /// The names that match, sorted, each once.
    async fn names(&self, pattern: &str) -> Vec<String> {
        let mut keys = self.inspector.keys(pattern);
        let mut names = Vec::new();
        while let Some(name) = keys.next().await {
            names.push(name.unwrap());
        }
        names.sort();
        names.dedup();
        names
    }
}

/// Makes each function a test on embedded memory, Redis, a cluster and behind sentinels.
macro_rules! on_each_topology {
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
        crate::harness::on_redis!(cluster: $($test),*);
        crate::harness::on_redis!(sentinel: $($test),*);
    };
}
use on_each_topology;
