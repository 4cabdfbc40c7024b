//! The store: one cheap handle on embedded memory or Redis, which every layer and service takes.
//!
//! ```
//! use std::time::Duration;
//! use tower_keep::Store;
//!
//! // No server at all: bounded, in process, the same semantics.
//! let store = Store::memory();
//! // Keys of this application start with `shop:`.
//! let store = store.with_namespace("shop").unwrap().with_deadline(Duration::from_millis(30));
//! ```
//!
//! With Redis, hand over the application's own pool. The store takes two connections out of it
//! for good, on which all concurrent calls are pipelined; there is no checkout per operation:
//!
//! ```no_run
//! # #[cfg(feature = "redis")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
//!     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
//! let store = tower_keep::Store::redis(pool);
//! # Ok(()) }
//! ```
//!
//! # Deadline and circuit breaker
//!
//! A call takes at most the store's deadline (default 50 ms), waiting for a connection included.
//! When Redis stops answering, the calls under way pay it once; then a circuit breaker lets calls
//! fail at once, and a background task looks for the server, with pauses of 200 ms at most. The
//! breaker closes on an answer within the deadline that was missed, and at once. When it opens
//! again within ten seconds it stays open for at least 1 s, then 2 s, then 4 s, and needs several
//! answers in a row; a server that refused connections or lost them in between is taken
//! back at once. A server that is loading its data or is a replica does not count as answering.
//!
//! Before a call's deadline has passed, the other connections are asked for a sign of life, and
//! then a new one: a large reply that is still arriving, or a connection that has gone silent,
//! does not open the breaker; the connection is replaced. What a failed call means is each
//! layer's policy.
//!
//! # Refusals
//!
//! `OOM`, `WRONGTYPE`, `NOPERM`, `MISCONF` and the like do not go away by themselves. Each kind is
//! one warning in ten seconds, makes the store [`Degraded`](StoreState::Degraded) and is listed by
//! [`refusals`](Store::refusals); the call's error names it ([`StoreError::Refused`]).
//!
//! A call that loses its connection is sent once more, unless it would count twice.
//!
//! # Time to live
//!
//! Every key that is written has one. The defaults: session 24 h, user data 1 h, lists 5 min,
//! rate limit states until the limit has replenished.

#![cfg_attr(
    not(all(
        feature = "cache",
        feature = "key-value",
        feature = "rate-limit",
        feature = "redis",
        feature = "session"
    )),
    allow(
        clippy::needless_pass_by_value,
        dead_code,
        unused_imports,
        unused_variables,
        reason = "a tool box that only all features together use up"
    )
)]

mod clock;
mod config;
mod error;
mod execute;
mod memory;
mod namespace;
mod operation;
pub(crate) mod operations;
#[cfg(feature = "redis")]
mod redis;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use clock::Timestamp;
pub use config::{ConfigError, StoreConfig};
pub use error::{RefusalKind, StoreError};
pub(crate) use execute::Execute;
pub use memory::MemoryLimits;
pub use namespace::NamespaceError;
pub(crate) use namespace::{Key, Namespace};
pub(crate) use operation::{Batch, Operation};

use memory::Memory;
#[cfg(feature = "cache")]
pub(crate) use memory::{Table, Weigh, replace};

/// A handle on embedded memory or Redis. Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    namespace: Namespace,
    deadline: Duration,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Memory>),
    #[cfg(feature = "redis")]
    Redis(Arc<redis::Redis>),
    #[cfg(feature = "redis")]
    Cluster(Arc<redis::Cluster>),
}

/// What the store knows of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreState {
    /// The last calls were answered. Embedded memory is always ready.
    Ready,
    /// The server answers and refuses some commands, as at its `maxmemory` or for want of a
    /// permission; [`Store::refusals`] says which. It ends when such a command succeeds again,
    /// or 30 seconds after the last refusal.
    Degraded,
    /// No call was made yet, or the connection was lost a moment ago; calls wait for it
    /// within their deadline.
    Connecting,
    /// The circuit breaker is open: calls fail at once until a background probe gets an answer.
    Unavailable,
}

impl Store {
    /// How long a store call may take unless [`with_deadline`](Self::with_deadline) says otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(50);

    /// Embedded memory within the default [`MemoryLimits`].
    pub fn memory() -> Self {
        Self::memory_within(&MemoryLimits::default())
    }

    /// Embedded memory within `limits`.
    pub fn memory_within(limits: &MemoryLimits) -> Self {
        Self::new(Backend::Memory(Memory::new(limits)))
    }

    /// A single Redis server over the application's pool, on two connections of it.
    ///
    /// Nothing is sent before the first call, so an unreachable server is no error here. While
    /// all connections of the pool are in use there are none for the store to take: it is
    /// unavailable until one comes back. On a user that may not `SCRIPT`, scripts go by source.
    /// The pool's own response timeout does not apply to the store's connections.
    #[cfg(feature = "redis")]
    pub fn redis(pool: deadpool_redis::Pool) -> Self {
        Self::redis_with_lanes(pool, config::DEFAULT_LANES)
    }

    /// As [`redis`](Self::redis), on `lanes` connections, at least one. More lanes help when
    /// large cached bodies hold up small replies.
    #[cfg(feature = "redis")]
    pub fn redis_with_lanes(pool: deadpool_redis::Pool, lanes: usize) -> Self {
        let source = redis::Source::Single(pool);
        Self::new(Backend::Redis(redis::Redis::new(source, lanes)))
    }

    /// The master that Redis Sentinel names, over the application's pool, on two connections of it.
    ///
    /// As [`redis`](Self::redis). When a master dies or stops, the store is connected to the one
    /// that takes over within a second of its promotion. One that is alive when its sentinels order
    /// a failover takes writes until they tell it to be a replica, ten seconds later as a rule; what
    /// it executed until then is lost, as is what a dead one had not replicated. It is left when it
    /// refuses a write or breaks its connections.
    #[cfg(feature = "redis")]
    pub fn sentinel(pool: deadpool_redis::sentinel::Pool) -> Self {
        let source = redis::Source::Sentinel(pool);
        Self::new(Backend::Redis(redis::Redis::new(
            source,
            config::DEFAULT_LANES,
        )))
    }

    /// A Redis Cluster over the application's pool, on one connection of it for each shard.
    ///
    /// The deadline and the circuit breaker are each shard's own: one that is frozen or fails over
    /// costs the others nothing, and [`state`](Self::state) says `Degraded` meanwhile. Keys that
    /// belong together share a slot, so no operation spans two.
    ///
    /// Connections to a cluster send a command again by themselves when they lose a node, so that
    /// one whose reply was lost may count twice there, which the store's own never do.
    #[cfg(feature = "redis")]
    pub fn cluster(pool: deadpool_redis::cluster::Pool) -> Self {
        Self::new(Backend::Cluster(redis::Cluster::new(pool, 1)))
    }

    fn new(backend: Backend) -> Self {
        Self {
            backend,
            namespace: Namespace::default(),
            deadline: Self::DEFAULT_DEADLINE,
        }
    }

    /// Starts every key with `namespace:` instead of `keep:`. The data of the old namespace
    /// stay where they are. Namespaces that begin one another (`shop` and `shop:eu`) nest, and
    /// are not apart.
    ///
    /// # Errors
    ///
    /// When `namespace` is not 1 to 64 of `a-z A-Z 0-9 . _ -` with `:` between them.
    pub fn with_namespace(self, namespace: &str) -> Result<Self, NamespaceError> {
        Ok(Self {
            namespace: Namespace::new(namespace)?,
            ..self
        })
    }

    /// Lets each call of this handle take at most `deadline`, from waiting for a connection to
    /// the last byte of the reply. Embedded memory answers at once and has no use for it.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The prefix of this handle's keys, without the colon.
    pub fn namespace(&self) -> &str {
        self.namespace.as_str()
    }

    /// What is known of the server, without asking it.
    pub fn state(&self) -> StoreState {
        match &self.backend {
            Backend::Memory(_) => StoreState::Ready,
            #[cfg(feature = "redis")]
            Backend::Redis(redis) => redis.state(),
            #[cfg(feature = "redis")]
            Backend::Cluster(cluster) => cluster.state(),
        }
    }

    /// What the server has refused lately, each kind once: the reasons of
    /// [`StoreState::Degraded`]. Nothing for embedded memory. One atomic load while there is none.
    pub fn refusals(&self) -> Vec<RefusalKind> {
        match &self.backend {
            Backend::Memory(_) => Vec::new(),
            #[cfg(feature = "redis")]
            Backend::Redis(redis) => redis.refusals().collect(),
            #[cfg(feature = "redis")]
            Backend::Cluster(cluster) => cluster.refusals(),
        }
    }

    /// A number that differs from an earlier one if the server may have lost what it had
    /// acknowledged by then: it counts connections, and a server that was restarted or replaced
    /// is reached by a new one. It changes before the first call on that connection. Always 0
    /// for embedded memory. One atomic load.
    pub(crate) fn connections_epoch(&self) -> u64 {
        match &self.backend {
            Backend::Memory(_) => 0,
            #[cfg(feature = "redis")]
            Backend::Redis(redis) => redis.connections_epoch(),
            #[cfg(feature = "redis")]
            Backend::Cluster(cluster) => cluster.connections_epoch(),
        }
    }

    /// Asks the server whether it answers. One `DBSIZE`, one round trip.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]; never for embedded memory.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.execute(operations::ping::Ping).await
    }

    /// The longest response, head and body, that the store can keep.
    #[cfg(feature = "cache")]
    pub(crate) fn largest_response(&self) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.responses.largest() as u64,
            // A string of Redis holds 512 MiB.
            #[cfg(feature = "redis")]
            Backend::Redis(_) | Backend::Cluster(_) => 512 << 20,
        }
    }

    /// Embedded memory, if the store is that: it can be read without a batch, and so without
    /// waiting.
    #[cfg(feature = "cache")]
    pub(in crate::store) fn embedded(&self) -> Option<&Memory> {
        match &self.backend {
            Backend::Memory(memory) => Some(memory),
            #[cfg(feature = "redis")]
            Backend::Redis(_) | Backend::Cluster(_) => None,
        }
    }

    /// Whether the store is embedded memory, which answers without a round trip.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.backend, Backend::Memory(_))
    }

    pub(crate) fn names(&self) -> &Namespace {
        &self.namespace
    }

    /// Executes a batch: in one go on memory, in one round trip on Redis.
    pub(crate) fn execute<B: Batch>(&self, batch: B) -> Execute<B> {
        match &self.backend {
            Backend::Memory(memory) => {
                let now = Timestamp::now();
                memory.keep_swept(now);
                Execute::done(batch.run(memory, now))
            }
            #[cfg(feature = "redis")]
            Backend::Redis(redis) => {
                let mut commands = Vec::new();
                batch.commands(&mut commands);
                let count = commands.len();
                if count == 0 || redis.is_unavailable() {
                    let failed = execute::all_failed(&StoreError::Unavailable, count);
                    return Execute::done(batch.replies(&mut failed.into_iter()));
                }
                let call = redis.clone().call(commands, self.deadline);
                Execute::redis(batch, count, Box::pin(call))
            }
            #[cfg(feature = "redis")]
            Backend::Cluster(cluster) => {
                let mut commands = Vec::new();
                batch.commands(&mut commands);
                let count = commands.len();
                let call = cluster.clone().call(commands, self.deadline);
                Execute::redis(batch, count, Box::pin(call))
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = match &self.backend {
            Backend::Memory(_) => "memory",
            #[cfg(feature = "redis")]
            Backend::Redis(_) => "redis",
            #[cfg(feature = "redis")]
            Backend::Cluster(_) => "redis cluster",
        };
        f.debug_struct("Store")
            .field("backend", &backend)
            .field("namespace", &self.namespace.as_str())
            .field("deadline", &self.deadline)
            .field("state", &self.state())
            .finish()
    }
}
