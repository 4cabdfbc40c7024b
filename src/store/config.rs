//! A store from a URL or from the environment.

mod env;
mod pieces;
#[cfg_attr(not(feature = "redis"), path = "config/absent.rs")]
mod server;

use std::{ffi::OsString, fmt, time::Duration};

use self::server::Server;
use super::{MemoryLimits, NamespaceError, Store};

/// Enough for the lanes and their replacements; the rest is the application's.
const DEFAULT_POOL_SIZE: usize = 8;

/// How to reach a store, from a URL, the environment, or piece by piece.
///
/// | Variable | Meaning | Default |
/// |---|---|---|
/// | `REDIS_URL` | `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS (feature `redis-tls`), `unix:///path[?db=0&user=name&pass=password]`, `redis+cluster://[user:password@]host[:port],…`, `redis+sentinel://[user:password@]host[:port],…/master[?db=0]`, or these two over TLS: `rediss+cluster://…`, `rediss+sentinel://…` | port 6379, of sentinels 26379 |
/// | `REDIS_HOST`, `REDIS_PORT`, `REDIS_USERNAME`, `REDIS_PASSWORD`, `REDIS_DB` | the same in pieces, where there is no `REDIS_URL` | port 6379, db 0 |
/// | `REDIS_TLS_CA` | a file with the certificates, in PEM, that may have signed the server's | those of the system |
/// | `REDIS_POOL_SIZE` | connections of the pool to a single server; on a cluster and behind sentinels the store makes the few that it needs | 8 |
/// | `REDIS_TIMEOUT_MS` | the deadline of a store call in milliseconds | 50 |
/// | `REDIS_NAMESPACE` | the prefix of all keys | `keep` |
///
/// With neither `REDIS_URL` nor `REDIS_HOST` the store is embedded memory, which one line in the
/// log says. A variable that is set and cannot be used is an error that names it, never
/// embedded memory by accident: one that is empty or not UTF-8, a piece without `REDIS_HOST`.
///
/// What stands before `@` are the servers' user and password; sentinels that ask for their own take
/// them from `?sentinel_username=…&sentinel_password=…`. By `rediss+sentinel://` the sentinels
/// and the servers both are reached by TLS. A certificate has to name the hosts as the cluster or
/// the sentinels name them, which are addresses unless these are told to announce names.
///
/// Redis takes a user's name with a password only. Of a single server `?protocol=resp3` chooses the
/// protocol. Any part of a URL that would do nothing is an error.
///
/// Names, passwords and paths in a URL are percent-encoded; in `REDIS_PASSWORD` and
/// `REDIS_USERNAME` they stand as they are. The password is in no log, error or `Debug`.
#[derive(Clone)]
pub struct StoreConfig {
    target: Target,
    namespace: Option<String>,
    deadline: Duration,
    pool_size: usize,
    root_certificates: Option<Vec<u8>>,
    memory: MemoryLimits,
}

#[derive(Clone)]
enum Target {
    Memory,
    Server(Box<Server>),
}

/// A setting that cannot be used, by its name, its value and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable or URL part with a value that does not parse. Secrets are left out.
    #[error("{name} is {value:?}: {expected}")]
    Invalid {
        /// The variable or the part of the URL.
        name: &'static str,
        /// The value, without credentials.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A variable that is empty, not UTF-8, or of no use without another one.
    #[error("{name} is set: {expected}")]
    Incomplete {
        /// The variable.
        name: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// The namespace is no key prefix.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The pool could not be set up.
    #[error("the pool for Redis cannot be built: {0}")]
    Pool(String),
}

impl StoreConfig {
    /// Embedded memory.
    pub fn memory() -> Self {
        Self::new(Target::Memory)
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            namespace: None,
            deadline: Store::DEFAULT_DEADLINE,
            pool_size: DEFAULT_POOL_SIZE,
            root_certificates: None,
            memory: MemoryLimits::default(),
        }
    }

    /// `memory`, `redis://…`, `rediss://…`, `unix://…`, `redis+cluster://…`,
    /// `rediss+cluster://…`, `redis+sentinel://…` or `rediss+sentinel://…`.
    ///
    /// # Errors
    ///
    /// When the URL is malformed or its scheme is none of these.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        Self::parse_url("store URL", url)
    }

    fn parse_url(name: &'static str, url: &str) -> Result<Self, ConfigError> {
        if url == "memory" {
            return Ok(Self::memory());
        }
        let server = Server::from_url(url).map_err(|expected| ConfigError::Invalid {
            name,
            value: without_secrets(url),
            expected,
        })?;
        Ok(Self::new(Target::Server(Box::new(server))))
    }

    /// What the process's environment says.
    ///
    /// # Errors
    ///
    /// When a variable is set to something unusable.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_os_vars(|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), from any source of variables.
    ///
    /// # Errors
    ///
    /// When a variable is set to something unusable.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Self::from_os_vars(|name| var(name).map(OsString::from))
    }

    /// Sets the prefix of all keys. Default `keep`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the deadline of a store call, at least one millisecond. Default 50 ms.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the size of the pool that [`build`](Self::build) makes for a single Redis. Default 8.
    #[must_use]
    pub fn with_pool_size(self, pool_size: usize) -> Self {
        Self { pool_size, ..self }
    }

    /// Trusts servers whose certificate one of these has signed, and no others; PEM. Default:
    /// those of the system, or of the file that `SSL_CERT_FILE` names.
    ///
    /// For `rediss://`, `rediss+cluster://` and `rediss+sentinel://` only: with any other URL
    /// [`build`](Self::build) fails.
    #[cfg(feature = "redis-tls")]
    #[must_use]
    pub fn with_root_certificates(self, pem: impl Into<Vec<u8>>) -> Self {
        Self {
            root_certificates: Some(pem.into()),
            ..self
        }
    }

    /// Sets the bounds of embedded memory.
    #[must_use]
    pub fn with_memory_limits(self, memory: MemoryLimits) -> Self {
        Self { memory, ..self }
    }

    /// Whether the server is reached by TLS.
    fn is_tls(&self) -> bool {
        match &self.target {
            Target::Memory => false,
            Target::Server(server) => server.is_tls(),
        }
    }

    /// Whether this is embedded memory.
    pub fn is_memory(&self) -> bool {
        matches!(self.target, Target::Memory)
    }

    /// Builds the store. Nothing is connected: an unreachable server is found out, and found
    /// again, later.
    ///
    /// # Errors
    ///
    /// When the namespace, the deadline or the pool's size cannot be used.
    pub fn build(self) -> Result<Store, ConfigError> {
        if self.deadline < Store::SHORTEST_DEADLINE {
            return Err(ConfigError::Invalid {
                name: "deadline",
                value: format!("{:?}", self.deadline),
                expected: "expected at least one millisecond",
            });
        }
        if self.pool_size == 0 {
            return Err(ConfigError::Invalid {
                name: "pool size",
                value: "0".to_owned(),
                expected: "expected at least one connection",
            });
        }
        if self.root_certificates.is_some() && !self.is_tls() {
            return Err(ConfigError::Incomplete {
                name: "root certificates",
                expected: "expected a URL that begins with rediss (rediss://, rediss+cluster:// or \
                           rediss+sentinel://) beside them",
            });
        }
        let store = match self.target {
            Target::Memory => {
                tracing::info!(target: "tower_keep::store", "no Redis configured: using embedded memory");
                Store::memory_within(&self.memory)
            }
            Target::Server(server) => {
                server.store(self.pool_size, self.root_certificates.as_deref())?
            }
        };
        let store = match &self.namespace {
            Some(namespace) => store.with_namespace(namespace)?,
            None => store,
        };
        Ok(store.with_deadline(self.deadline))
    }
}

/// The URL without what may hold a password: what comes before the host, and the query. Where
/// it is too malformed to tell, nothing but the scheme is left.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "…".to_owned();
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (userinfo, host) = match rest.rsplit_once('@') {
        Some((_, host)) => ("…@", host),
        None => ("", rest),
    };
    // `user:password` with the host forgotten looks like a host with a port.
    let authority = host.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let forgotten = userinfo.is_empty() && !port.bytes().all(|byte| byte.is_ascii_digit());
    if forgotten || query.contains('@') {
        return format!("{scheme}://…");
    }
    format!("{scheme}://{userinfo}{host}")
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::Memory => "memory".to_owned(),
            Target::Server(server) => server.to_string(),
        };
        f.debug_struct("StoreConfig")
            .field("target", &target)
            .field("namespace", &self.namespace)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
