//! The servers behind a store, one by one: for what concerns a server and not a key.

use super::{Backend, Store};

/// The only server, the master of a shard, or embedded memory.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where the master of a shard listens, as the cluster says; `None` for anything else.
    pub(crate) address: Option<Box<str>>,
    /// A store that is this server alone.
    pub(crate) store: Store,
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

    /// The servers that hold the data, each by itself. Where a cluster has never told which those
    /// are, it is asked first, for as long as the deadline.
    pub(crate) async fn servers(&self) -> Vec<Server> {
        let Backend::Redis(redis) = &self.backend else {
            return vec![Server {
                address: None,
                store: self.clone(),
            }];
        };
        let servers = redis.servers(self.deadline).await.into_iter();
        let server = |(address, redis)| Server {
            address,
            store: Self {
                backend: Backend::Redis(redis),
                ..self.clone()
            },
        };
        servers.map(server).collect()
    }
}
