//! What a store is connected to.

use std::{pin::Pin, sync::Arc, time::Duration};

use deadpool_redis::Pool;

use super::{
    cluster::{Cluster, Members},
    command::Commands,
    reply::Results,
    script::Scripts,
    server::Redis,
    source::Source,
};
use crate::store::{
    error::{RefusalKind, StoreError},
    state::StoreState,
};

/// One server, be it fixed or whichever is the master now, or the shards of a cluster.
#[derive(Debug, Clone)]
pub(crate) enum Topology {
    Server(Arc<Redis>),
    Cluster(Arc<Cluster>),
}

/// A call under way. On the heap, once for all layers.
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Results, StoreError>> + Send>>;

impl Topology {
    /// The longest string that Redis holds.
    pub(crate) const LARGEST_VALUE: u64 = 512 << 20;

    pub(crate) fn single(pool: Pool, lanes: usize, scripts: Scripts) -> Self {
        Self::Server(Redis::new(Source::Single(pool), lanes, scripts))
    }

    /// Whatever server the sentinels of `source` name.
    pub(crate) fn sentinel(source: Source, lanes: usize, scripts: Scripts) -> Self {
        Self::Server(Redis::new(source, lanes, scripts))
    }

    /// On `lanes` connections for each shard.
    pub(crate) fn cluster(members: Members, lanes: usize, scripts: Scripts) -> Self {
        Self::Cluster(Cluster::new(members, lanes, scripts))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "redis",
            Self::Cluster(_) => "redis cluster",
        }
    }

    /// Whether a command can name keys of one slot only.
    #[cfg(any(feature = "key-value", feature = "rate-limit"))]
    pub(crate) fn is_split_by_slot(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Whether both are connected by the same lanes.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Server(one), Self::Server(other)) => Arc::ptr_eq(one, other),
            (Self::Cluster(one), Self::Cluster(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    pub(crate) fn state(&self) -> StoreState {
        match self {
            Self::Server(server) => server.state(),
            Self::Cluster(cluster) => cluster.state(),
        }
    }

    pub(crate) fn server(&self) -> Option<Arc<str>> {
        match self {
            Self::Server(server) => server.server(),
            Self::Cluster(cluster) => cluster.server(),
        }
    }

    pub(crate) fn refusals(&self) -> Vec<RefusalKind> {
        match self {
            Self::Server(server) => server.refusals().collect(),
            Self::Cluster(cluster) => cluster.refusals(),
        }
    }

    pub(crate) fn connections_epoch(&self) -> u64 {
        match self {
            Self::Server(server) => server.connections_epoch(),
            Self::Cluster(cluster) => cluster.connections_epoch(),
        }
    }

    /// Each server by itself, and where it listens if it is one of a cluster; one at least. A cluster
    /// is asked for its map first, for as long as `patience`, if it was never known.
    #[cfg(any(feature = "health", feature = "inspect"))]
    pub(crate) async fn servers(
        &self,
        patience: Duration,
    ) -> Result<Vec<(Option<Box<str>>, Self)>, StoreError> {
        match self {
            Self::Server(_) => Ok(vec![(None, self.clone())]),
            Self::Cluster(cluster) => {
                let shards = cluster.shards(patience).await?.into_iter();
                let server = |shard: Arc<Redis>| (shard.address(), Self::Server(shard));
                Ok(shards.map(server).collect())
            }
        }
    }

    /// Whether it is one server of a cluster, which says of a key of another that it is that one's.
    #[cfg(feature = "health")]
    pub(crate) fn is_redirected(&self) -> bool {
        matches!(self, Self::Server(server) if server.source.is_redirected())
    }

    /// Executes `commands`, those of one server in one round trip, within `deadline`. An error
    /// that is known at once costs no future.
    pub(crate) fn call(&self, commands: Commands, deadline: Duration) -> Result<Call, StoreError> {
        match self {
            Self::Server(server) if server.is_unavailable() => {
                #[cfg(feature = "metrics")]
                crate::metrics::store_call(Duration::ZERO, "unavailable");
                Err(StoreError::Unavailable)
            }
            Self::Server(server) => Ok(Box::pin(timed(server.call::<Results>(commands, deadline)))),
            Self::Cluster(cluster) => Ok(Box::pin(timed(cluster.clone().call(commands, deadline)))),
        }
    }
}

/// Tells how long a call took.
#[cfg(feature = "metrics")]
async fn timed(
    call: impl Future<Output = Result<Results, StoreError>>,
) -> Result<Results, StoreError> {
    let began = std::time::Instant::now();
    let results = call.await;
    crate::metrics::store_call(began.elapsed(), outcome(&results));
    results
}

/// What has come of a call, of which a cluster may have executed a part. A command that was
/// refused was answered.
#[cfg(feature = "metrics")]
fn outcome(results: &Result<Results, StoreError>) -> &'static str {
    let unanswered = |error: &StoreError| match error {
        StoreError::Unavailable => Some("unavailable"),
        StoreError::DeadlineExceeded(_) | StoreError::Connection(_) => Some("failed"),
        _ => None,
    };
    let unanswered = match results {
        Ok(results) => results
            .iter()
            .filter_map(|result| unanswered(result.as_ref().err()?))
            // That something was sent and lost tells more than that something was not sent.
            .min(),
        Err(error) => unanswered(error),
    };
    unanswered.unwrap_or("answered")
}

#[cfg(not(feature = "metrics"))]
fn timed<F>(call: F) -> F {
    call
}
