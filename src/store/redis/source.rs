//! Where connections come from: the application's own pool.

use std::{fmt, sync::Arc, time::Duration};

use deadpool::managed::Manager;
use deadpool_redis::{cluster, sentinel};

use super::connection::{Connection, Shard};

/// A pool of connections to a server, to whatever server sentinels say is the master, or to a
/// cluster, of which one shard is meant.
pub(crate) enum Source {
    Single(deadpool_redis::Pool),
    /// Each new connection asks the sentinels. One that was made before a failover leads to the old
    /// master, which refuses writes as soon as it knows that it is a replica.
    Sentinel(sentinel::Pool),
    /// One shard of a cluster.
    Cluster {
        pool: cluster::Pool,
        shard: Arc<Shard>,
    },
}

impl Source {
    /// A connection that the pool replaces, because it does not come back.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let mut connection = match self {
            Self::Single(pool) => {
                let connection = pool.get().await.map_err(|error| error.to_string())?;
                deadpool_redis::Connection::take(connection)
            }
            Self::Sentinel(pool) => {
                let connection = pool.get().await.map_err(|error| error.to_string())?;
                sentinel::Connection::take(connection)
            }
            Self::Cluster { pool, shard } => {
                let connection = pool.get().await.map_err(|error| error.to_string())?;
                return Ok(Connection::Cluster(
                    cluster::Connection::take(connection),
                    shard.clone(),
                ));
            }
        };
        // The deadline is the call's: redis-rs' own must not cut it short.
        connection.set_response_timeout(NO_TIMEOUT);
        Ok(Connection::Direct(connection))
    }

    /// A connection that is made now and none of the pool's, so that the sentinels are asked.
    /// `None` where there are none.
    pub(super) async fn connect_by_sentinels(&self) -> Option<Connection> {
        match self {
            Self::Sentinel(pool) => pool.manager().create().await.ok().map(Connection::Direct),
            Self::Single(_) | Self::Cluster { .. } => None,
        }
    }

    /// How long a connection may take. One to a cluster waits a second for each node that does
    /// not answer, all of them at once.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Single(_) | Self::Sentinel(_) => Duration::from_millis(500),
            Self::Cluster { .. } => Duration::from_millis(2_500),
        }
    }

    /// The size of the pool, if all of its connections are in use.
    pub(super) fn exhausted(&self) -> Option<usize> {
        let status = match self {
            Self::Single(pool) => pool.status(),
            Self::Sentinel(pool) => pool.status(),
            Self::Cluster { pool, .. } => pool.status(),
        };
        (status.available == 0 && status.size >= status.max_size).then_some(status.max_size)
    }

    /// Drops the connections that nobody uses: they are as dead as one that has failed, and each
    /// would cost an attempt.
    pub(super) fn drop_idle(&self) {
        match self {
            Self::Single(pool) => drop(pool.retain(|_, _| false)),
            Self::Sentinel(pool) => drop(pool.retain(|_, _| false)),
            Self::Cluster { pool, .. } => drop(pool.retain(|_, _| false)),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(_) => f.write_str("Single"),
            Self::Sentinel(_) => f.write_str("Sentinel"),
            Self::Cluster { shard, .. } => write!(f, "Cluster({shard:?})"),
        }
    }
}

const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);
