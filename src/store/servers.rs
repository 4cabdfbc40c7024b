//! The servers behind a store, one by one: for what concerns a server and not a key.

use super::{Backend, Store, StoreError};
#[cfg(feature = "health")]
use super::{Key, operations::ping::Ping};

/// The only server, the master of a shard, or embedded memory.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where the master of a shard listens, as the cluster says; `None` for anything else.
    pub(crate) address: Option<Box<str>>,
    /// A store that is this server alone.
    pub(crate) store: Store,
}

#[cfg(feature = "health")]
impl Server {
    /// Whether it answers, and serves keys if it is one of a cluster. One round trip. A cluster by
    /// the application's own pool is asked for no key: its connections would ask another server.
    pub(crate) async fn serves(&self) -> Result<(), StoreError> {
        let key = match &self.store.backend {
            Backend::Redis(redis) if redis.is_redirected() => {
                let name = format!("{}:health", self.store.namespace());
                Some(Key::whole(&name))
            }
            _ => None,
        };
        self.store.execute(Ping { key }).await
    }
}

impl Store {
    /// `memory`, `redis` or `redis cluster`.
    #[cfg(feature = "health")]
    pub(crate) fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Memory(_) => "memory",
            Backend::Redis(redis) => redis.name(),
        }
    }

    /// The servers that hold the data, each by itself; one at least. Where a cluster has never told
    /// which those are, it is asked first, for as long as the deadline, and an error if it does not.
    pub(crate) async fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let Backend::Redis(redis) = &self.backend else {
            return Ok(vec![Server {
                address: None,
                store: self.clone(),
            }]);
        };
        let servers = redis.servers(self.deadline).await?.into_iter();
        let server = |(address, redis)| Server {
            address,
            store: Self {
                backend: Backend::Redis(redis),
                ..self.clone()
            },
        };
        Ok(servers.map(server).collect())
    }
}
