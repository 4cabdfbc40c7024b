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
//! breaker closes on an answer within the deadline, and at once. When it opens
//! again within ten seconds it stays open for at least 1 s, then 2 s, then 4 s, and needs several
//! answers in a row; a server that refused connections or lost them in between is taken
//! back at once. A server that is loading its data does not count as answering.
//!
//! The breaker is the server's, and so shared by all handles on it. Of several deadlines the longest
//! so far says what is quick enough to close it. A handle with a shorter one, within which the server
//! is known not to answer, pays its own deadline at each call then, and opens the breaker for nobody
//! for ten seconds.
//!
//! A call that is given up before its deadline, because the client has left or a timeout of the
//! application's own is shorter, counts too: whether the server answers is found out in the
//! background.
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
//! A replica refuses writes with `READONLY` and answers what only reads; the store looks for the
//! master meanwhile.
//!
//! A call that loses its connection is sent once more, unless it would count twice.
//!
//! # Servers
//!
//! Redis 7 and later, Valkey, and what is compatible with them and runs Lua scripts that call `TIME`.
//! A server that does not, an older Redis, or a user who may not run scripts is one error in the log
//! at the first connection, and operations that need what is missing are
//! [refused](StoreError::Refused); those that do not go on. [`Store::server`] says what server it is.
//!
//! # Time to live
//!
//! Every key that is written has one. The defaults: session 24 h, user data 1 h, lists 5 min,
//! rate limit states until the limit has replenished.

#![cfg_attr(
    not(feature = "full"),
    allow(
        dead_code,
        unused_imports,
        reason = "each feature uses a part of the engines"
    )
)]

mod batch;
mod clock;
mod config;
#[cfg(feature = "redis")]
mod connect;
mod error;
mod execute;
#[cfg(feature = "inspect")]
pub(crate) mod inspect;
mod key;
mod memory;
pub(crate) mod operations;
pub(crate) mod random;
#[cfg_attr(not(feature = "redis"), path = "redis/absent.rs")]
mod redis;
#[cfg(any(feature = "health", feature = "inspect"))]
mod servers;
mod state;
#[cfg(all(test, feature = "full"))]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use batch::Batch;
pub(crate) use clock::Timestamp;
pub use config::{ConfigError, StoreConfig};
pub use error::{RefusalKind, StoreError};
pub(crate) use execute::Execute;
pub(crate) use key::Key;
pub(crate) use key::Namespace;
pub use key::NamespaceError;
pub(crate) use memory::{Holds, Table, Weigh, heap};
pub use operations::MemoryLimits;
#[cfg(any(feature = "health", feature = "inspect"))]
pub(crate) use servers::Server;
pub use state::StoreState;

use memory::Swept;
use operations::Memory;
use redis::Topology;

/// A handle on embedded memory or Redis. Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    namespace: Namespace,
    deadline: Duration,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Swept<Memory>>),
    Redis(Topology),
}

impl Store {
    /// How long a store call may take unless [`with_deadline`](Self::with_deadline) says otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(50);

    /// The shortest deadline: no network answers within less, as a rule.
    pub const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);

    /// Embedded memory within the default [`MemoryLimits`].
    pub fn memory() -> Self {
        Self::memory_within(&MemoryLimits::default())
    }

    /// Embedded memory within `limits`.
    pub fn memory_within(limits: &MemoryLimits) -> Self {
        Self::new(Backend::Memory(Swept::new(Memory::within(limits))))
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
    /// the last byte of the reply, and at least [`SHORTEST_DEADLINE`](Self::SHORTEST_DEADLINE).
    /// Embedded memory answers at once and has no use for it.
    ///
    /// Handles on one server share its circuit breaker, see the [module](self).
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self {
            deadline: deadline.max(Self::SHORTEST_DEADLINE),
            ..self
        }
    }

    #[cfg(any(feature = "health", feature = "rate-limit"))]
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The prefix of this handle's keys, without the colon.
    pub fn namespace(&self) -> &str {
        self.namespace.as_str()
    }

    /// What is known of the server, without asking it.
    pub fn state(&self) -> StoreState {
        match &self.backend {
            Backend::Memory(_) => StoreState::Ready,
            Backend::Redis(redis) => redis.state(),
        }
    }

    /// What the server has refused lately, each kind once: the reasons of
    /// [`StoreState::Degraded`]. Nothing for embedded memory. One atomic load while there is none.
    pub fn refusals(&self) -> Vec<RefusalKind> {
        match &self.backend {
            Backend::Memory(_) => Vec::new(),
            Backend::Redis(redis) => redis.refusals(),
        }
    }

    /// The name and version of the server that was connected to last, `redis 7.4.1` or `valkey
    /// 9.0.0` for example. `None` for embedded memory, before the first connection, and of
    /// servers that have no `HELLO`, which came with Redis 6.
    pub fn server(&self) -> Option<Arc<str>> {
        match &self.backend {
            Backend::Memory(_) => None,
            Backend::Redis(redis) => redis.server(),
        }
    }

    /// A number that differs from an earlier one if the server may have lost what it had
    /// acknowledged by then: it counts connections, and a server that was restarted or replaced
    /// is reached by a new one. It changes before the first call on that connection. Always 0
    /// for embedded memory. One atomic load.
    pub(crate) fn connections_epoch(&self) -> u64 {
        match &self.backend {
            Backend::Memory(_) => 0,
            Backend::Redis(redis) => redis.connections_epoch(),
        }
    }

    /// Asks the server whether it answers. One `DBSIZE`, one round trip.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]; never for embedded memory.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.execute(operations::ping::Ping::default()).await
    }

    /// The heaviest value that a key of this kind of data can hold.
    pub(crate) fn largest<E: Weigh>(&self) -> u64
    where
        Memory: Holds<E>,
    {
        match &self.backend {
            Backend::Memory(memory) => memory.tables().table().largest() as u64,
            Backend::Redis(_) => Topology::LARGEST_VALUE,
        }
    }

    /// The table of a kind of data, if the store is embedded memory: that can be read without a
    /// batch, and so without waiting.
    pub(crate) fn table<E>(&self) -> Option<&Table<E>>
    where
        Memory: Holds<E>,
    {
        match &self.backend {
            Backend::Memory(memory) => Some(memory.tables().table()),
            Backend::Redis(_) => None,
        }
    }

    /// Whether the store is embedded memory, which answers without a round trip.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.backend, Backend::Memory(_))
    }

    pub(crate) fn names(&self) -> &Namespace {
        &self.namespace
    }

    /// Whether both are handles on the same data, under the same names or others.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.backend, &other.backend) {
            (Backend::Memory(one), Backend::Memory(other)) => Arc::ptr_eq(one, other),
            (Backend::Redis(one), Backend::Redis(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// Whether a command can name keys of one slot only.
    #[cfg(any(feature = "key-value", feature = "rate-limit"))]
    pub(crate) fn is_split_by_slot(&self) -> bool {
        match &self.backend {
            Backend::Memory(_) => false,
            Backend::Redis(redis) => redis.is_split_by_slot(),
        }
    }

    /// Executes a batch: in one go on memory, in one round trip on Redis.
    pub(crate) fn execute<B: Batch<Memory>>(&self, batch: B) -> Execute<B> {
        match &self.backend {
            Backend::Memory(memory) => {
                let now = Timestamp::now();
                memory.keep_swept(now);
                Execute::done(batch.run(memory.tables(), now))
            }
            Backend::Redis(redis) => Execute::on(redis, batch, self.deadline),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = match &self.backend {
            Backend::Memory(_) => "memory",
            Backend::Redis(redis) => redis.name(),
        };
        f.debug_struct("Store")
            .field("backend", &backend)
            .field("namespace", &self.namespace.as_str())
            .field("deadline", &self.deadline)
            .field("state", &self.state())
            .finish()
    }
}
