//! Where connections come from: the application's own pool, or addresses.

use std::{fmt, sync::Arc, time::Duration};

use deadpool::managed::Manager;
use deadpool_redis::{cluster, sentinel};

use super::{
    access::Access,
    connection::{Connection, Shard},
    sentinels::Sentinels,
};

/// A way to get connections to a server, to whatever server sentinels say is the master, or to
/// a cluster, of which one shard is meant.
pub(crate) enum Source {
    Single(deadpool_redis::Pool),
    /// Each new connection asks the sentinels. One that was made before a failover leads to the old
    /// master, which refuses writes as soon as it knows that it is a replica.
    Sentinels(Sentinels),
    /// The same by the application's pool.
    SentinelPool(sentinel::Pool),
    /// One shard of a cluster, by its master's address.
    Node {
        access: Access,
        shard: Arc<Shard>,
    },
    /// One shard of the cluster that the application's pool leads to.
    ClusterPool {
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
            Self::Sentinels(sentinels) => sentinels.connect().await?,
            Self::SentinelPool(pool) => {
                let connection = pool.get().await.map_err(|error| error.to_string())?;
                sentinel::Connection::take(connection)
            }
            Self::Node { access, .. } => {
                let connection = access.connect().await;
                connection.map_err(|error| error.to_string())?
            }
            Self::ClusterPool { pool, shard } => {
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
            Self::Sentinels(sentinels) => sentinels.connect().await.ok().map(Connection::Direct),
            Self::SentinelPool(pool) => pool.manager().create().await.ok().map(Connection::Direct),
            Self::Single(_) | Self::Node { .. } | Self::ClusterPool { .. } => None,
        }
    }

    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self, Self::Sentinels(_) | Self::SentinelPool(_))
    }

    /// How long a connection may take at least. Pools whose manager asks several servers wait a
    /// second for one that does not answer.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Single(_) | Self::Node { .. } => Duration::from_millis(500),
            Self::Sentinels(_) => Duration::from_secs(1),
            Self::SentinelPool(_) | Self::ClusterPool { .. } => Duration::from_millis(2_500),
        }
    }

    /// The size of the pool, if all of its connections are in use.
    pub(super) fn exhausted(&self) -> Option<usize> {
        let status = match self {
            Self::Single(pool) => pool.status(),
            Self::SentinelPool(pool) => pool.status(),
            Self::ClusterPool { pool, .. } => pool.status(),
            Self::Sentinels(_) | Self::Node { .. } => return None,
        };
        (status.available == 0 && status.size >= status.max_size).then_some(status.max_size)
    }

    /// Drops the connections that nobody uses: they are as dead as one that has failed, and each
    /// would cost an attempt.
    pub(super) fn drop_idle(&self) {
        match self {
            Self::Single(pool) => drop(pool.retain(|_, _| false)),
            Self::SentinelPool(pool) => drop(pool.retain(|_, _| false)),
            Self::ClusterPool { pool, .. } => drop(pool.retain(|_, _| false)),
            Self::Sentinels(_) | Self::Node { .. } => {}
        }
    }

    /// The shard of a cluster that is meant.
    pub(super) fn shard(&self) -> Option<&Shard> {
        match self {
            Self::Node { shard, .. } | Self::ClusterPool { shard, .. } => Some(shard),
            Self::Single(_) | Self::Sentinels(_) | Self::SentinelPool(_) => None,
        }
    }

    /// Whether redirections are the business of who sends commands; connections of a cluster's
    /// pool follow them.
    pub(super) fn is_redirected(&self) -> bool {
        matches!(self, Self::Node { .. })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(_) => f.write_str("Single"),
            Self::Sentinels(sentinels) => sentinels.fmt(f),
            Self::SentinelPool(_) => f.write_str("SentinelPool"),
            Self::Node { shard, .. } | Self::ClusterPool { shard, .. } => {
                write!(f, "Cluster({shard:?})")
            }
        }
    }
}

const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);
