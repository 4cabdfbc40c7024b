//! A store from a URL or from the environment.

use std::{fmt, time::Duration};

#[cfg(feature = "redis")]
use deadpool_redis::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    io::tcp::TcpSettings,
};

use super::{MemoryLimits, NamespaceError, Store};

/// Connections that all calls share.
pub(super) const DEFAULT_LANES: usize = 2;
/// Enough for the lanes and their replacements; the rest is the application's.
#[cfg(feature = "redis")]
const DEFAULT_POOL_SIZE: usize = 8;
/// Commands that may wait in a lane before senders have to; redis-rs' default of 50 makes a
/// few hundred concurrent requests queue twice.
#[cfg(feature = "redis")]
const PIPELINE_BUFFER: usize = 1024;

/// How to reach a store, from a URL, the environment, or piece by piece.
///
/// | Variable | Meaning | Default |
/// |---|---|---|
/// | `REDIS_URL` | `redis://[user:password@]host[:port][/db]` or `unix:///path` | |
/// | `REDIS_HOST`, `REDIS_PORT`, `REDIS_USERNAME`, `REDIS_PASSWORD`, `REDIS_DB` | the same in pieces, where there is no `REDIS_URL` | port 6379, db 0 |
/// | `REDIS_POOL_SIZE` | connections of the pool | 8 |
/// | `REDIS_TIMEOUT_MS` | the deadline of a store call in milliseconds | 50 |
/// | `REDIS_NAMESPACE` | the prefix of all keys | `keep` |
///
/// With neither `REDIS_URL` nor `REDIS_HOST` the store is embedded memory. Names, passwords
/// and paths in a URL are percent-encoded. The password is in no log, error or `Debug`.
#[derive(Clone)]
pub struct StoreConfig {
    target: Target,
    namespace: Option<String>,
    deadline: Duration,
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pool_size: usize,
    memory: MemoryLimits,
}

#[derive(Clone)]
enum Target {
    Memory,
    #[cfg(feature = "redis")]
    Redis(ConnectionInfo),
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
            #[cfg(feature = "redis")]
            pool_size: DEFAULT_POOL_SIZE,
            #[cfg(not(feature = "redis"))]
            pool_size: 0,
            memory: MemoryLimits::default(),
        }
    }

    /// `memory`, `redis://…` or `unix://…`.
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
        let invalid = |expected| ConfigError::Invalid {
            name,
            value: without_userinfo(url),
            expected,
        };
        #[cfg(feature = "redis")]
        {
            let scheme = url.split_once("://").map(|(scheme, _)| scheme);
            if !matches!(scheme, Some("redis" | "unix" | "redis+unix")) {
                return Err(invalid(
                    "expected memory, redis://[user:password@]host[:port][/db] or unix:///path",
                ));
            }
            let info = url.into_connection_info().map_err(|_| {
                invalid("expected redis://[user:password@]host[:port][/db], percent-encoded")
            })?;
            Ok(Self::new(Target::Redis(info)))
        }
        #[cfg(not(feature = "redis"))]
        Err(invalid(
            "expected memory: this build has no feature `redis`",
        ))
    }

    /// What the process's environment says.
    ///
    /// # Errors
    ///
    /// When a variable is set to something unusable.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from any source of variables. Empty ones are unset.
    ///
    /// # Errors
    ///
    /// When a variable is set to something unusable.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let mut config = match var("REDIS_URL") {
            Some(url) => Self::parse_url("REDIS_URL", &url)?,
            None => Self::from_pieces(&var)?,
        };
        if let Some(namespace) = var("REDIS_NAMESPACE") {
            config = config.with_namespace(namespace);
        }
        if let Some(millis) = number::<u64>(&var, "REDIS_TIMEOUT_MS", "expected milliseconds")? {
            config = config.with_deadline(Duration::from_millis(millis));
        }
        if let Some(size) =
            number::<usize>(&var, "REDIS_POOL_SIZE", "expected a number of connections")?
        {
            config = config.with_pool_size(size);
        }
        Ok(config)
    }

    #[cfg(feature = "redis")]
    fn from_pieces(var: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let Some(host) = var("REDIS_HOST") else {
            return Ok(Self::memory());
        };
        let port = number::<u16>(var, "REDIS_PORT", "expected a port")?.unwrap_or(6379);
        let mut redis = RedisConnectionInfo::default()
            .set_db(number::<i64>(var, "REDIS_DB", "expected a database number")?.unwrap_or(0));
        if let Some(username) = var("REDIS_USERNAME") {
            redis = redis.set_username(username);
        }
        if let Some(password) = var("REDIS_PASSWORD") {
            redis = redis.set_password(password);
        }
        let invalid = |_| ConfigError::Invalid {
            name: "REDIS_HOST",
            value: host.clone(),
            expected: "expected a host name or address",
        };
        let info = ConnectionAddr::Tcp(host.clone(), port)
            .into_connection_info()
            .map_err(invalid)?;
        Ok(Self::new(Target::Redis(info.set_redis_settings(redis))))
    }

    #[cfg(not(feature = "redis"))]
    fn from_pieces(_: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self::memory())
    }

    /// Sets the prefix of all keys. Default `keep`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the deadline of a store call. Default 50 ms.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the size of the pool that [`build`](Self::build) makes for Redis. Default 8.
    #[must_use]
    pub fn with_pool_size(self, pool_size: usize) -> Self {
        Self { pool_size, ..self }
    }

    /// Sets the bounds of embedded memory.
    #[must_use]
    pub fn with_memory_limits(self, memory: MemoryLimits) -> Self {
        Self { memory, ..self }
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
        if self.deadline.is_zero() {
            return Err(ConfigError::Invalid {
                name: "deadline",
                value: "0".to_owned(),
                expected: "expected at least one millisecond",
            });
        }
        let store = match self.target {
            Target::Memory => {
                tracing::info!(target: "tower_keep::store", "no Redis configured: using embedded memory");
                Store::memory_within(&self.memory)
            }
            #[cfg(feature = "redis")]
            Target::Redis(info) => Store::redis(pool(info, self.pool_size)?),
        };
        let store = match &self.namespace {
            Some(namespace) => store.with_namespace(namespace)?,
            None => store,
        };
        Ok(store.with_deadline(self.deadline))
    }
}

#[cfg(feature = "redis")]
fn pool(info: ConnectionInfo, size: usize) -> Result<deadpool_redis::Pool, ConfigError> {
    if size == 0 {
        return Err(ConfigError::Invalid {
            name: "pool size",
            value: "0".to_owned(),
            expected: "expected at least one connection",
        });
    }
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let connection = AsyncConnectionConfig::new().set_pipeline_buffer_size(PIPELINE_BUFFER);
    let manager = deadpool_redis::Manager::new_with_config(info, connection)
        .map_err(|error| ConfigError::Pool(error.to_string()))?;
    deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .runtime(deadpool_redis::Runtime::Tokio1)
        .build()
        .map_err(|error| ConfigError::Pool(error.to_string()))
}

fn number<T: std::str::FromStr>(
    var: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, ConfigError> {
    let parse = |value: String| {
        value.trim().parse().map_err(|_| ConfigError::Invalid {
            name,
            value,
            expected,
        })
    };
    var(name).map(parse).transpose()
}

/// The URL with everything before the host left out, which may hold a password. Where it is
/// too malformed to tell, nothing but the scheme is left.
fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = match rest.rsplit_once('@') {
        Some((_, host)) => host,
        None if scheme.is_empty() => return "…".to_owned(),
        None => rest,
    };
    format!("{scheme}://{host}")
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::Memory => "memory".to_owned(),
            #[cfg(feature = "redis")]
            Target::Redis(info) => info.addr().to_string(),
        };
        f.debug_struct("StoreConfig")
            .field("target", &target)
            .field("namespace", &self.namespace)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<StoreConfig, ConfigError> {
        StoreConfig::from_vars(|name| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_variable_means_embedded_memory() {
        assert!(from(&[]).unwrap().is_memory());
        assert!(
            from(&[("REDIS_URL", ""), ("REDIS_PASSWORD", "x")])
                .unwrap()
                .is_memory()
        );
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_url_wins_over_the_pieces_and_the_pieces_have_defaults() {
        let config = from(&[("REDIS_HOST", "10.0.0.1"), ("REDIS_USERNAME", "app")]).unwrap();
        assert!(
            format!("{config:?}").contains("10.0.0.1:6379"),
            "{config:?}"
        );
        let config = from(&[
            ("REDIS_URL", "redis://10.0.0.2:7000/3"),
            ("REDIS_HOST", "x"),
        ])
        .unwrap();
        assert!(
            format!("{config:?}").contains("10.0.0.2:7000"),
            "{config:?}"
        );
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_password_is_in_no_debug_and_no_error() {
        let config = StoreConfig::from_url("redis://app:s3cret@127.0.0.1:1/0").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!format!("{:?}", config.build().unwrap()).contains("s3cret"));
        for url in [
            "http://app:s3cret@h",
            "redis://app:s3cret@h:port",
            "redis://app:s3cret@[::x",
            "s3cret",
        ] {
            let error = StoreConfig::from_url(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_unusable_value_is_named_with_what_would_be_right() {
        let error = from(&[("REDIS_TIMEOUT_MS", "soon")])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "REDIS_TIMEOUT_MS is \"soon\": expected milliseconds");
        assert!(StoreConfig::memory().with_namespace("a b").build().is_err());
        assert!(
            StoreConfig::memory()
                .with_deadline(Duration::ZERO)
                .build()
                .is_err()
        );
    }
}
