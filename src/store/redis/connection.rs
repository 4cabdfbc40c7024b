//! A connection that many calls share, to one server or to one shard of a cluster.

use std::{fmt, sync::Arc};

use deadpool_redis::{
    cluster::ClusterConnection,
    redis::{
        self, RedisError, RedisResult, Value,
        aio::{ConnectionLike, MultiplexedConnection},
        cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    },
};
use futures_util::future::join_all;

use super::pipeline::Pipeline;

/// A command's reply, which may be an error; or why the connection is of no more use.
pub(super) type Sent = Result<Value, Arc<str>>;

/// Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Direct(MultiplexedConnection),
    /// Of the application's pool. It leads to all nodes of a cluster, follows redirections and finds a new master by itself. It
    /// is used for one shard only, so that what it waits for is that shard.
    Cluster(ClusterConnection, Arc<Shard>),
}

/// A shard of a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The first of its slots.
    pub(super) slot: u16,
    /// Where its master listens, once that is known. A question about the shard goes there and
    /// nowhere else: asked by slot, redis-rs would have another node answer for one that does not.
    pub(super) master: Option<(String, u16)>,
}

impl Shard {
    fn route(&self) -> SingleNodeRoutingInfo {
        match &self.master {
            Some((host, port)) => SingleNodeRoutingInfo::ByAddress {
                host: host.clone(),
                port: *port,
            },
            None => to_master_of(self.slot),
        }
    }
}

impl Connection {
    /// Sends commands in one go and answers in their order what has come of each.
    pub(super) async fn send(&mut self, commands: &Pipeline) -> Vec<Sent> {
        match self {
            Self::Direct(connection) => {
                let packed = commands.packed();
                let sent = connection.send_packed_commands(packed, 0, commands.len());
                match sent.await.map_err(lost) {
                    Ok(values) => values.into_iter().map(Ok).collect(),
                    Err(lost) => vec![Err(lost); commands.len()],
                }
            }
            // One by one, side by side: a pipeline is redirected as a whole or not at all.
            Self::Cluster(connection, own) => {
                let sends = commands.iter().map(|(cmd, about)| {
                    let slot = about.slot(cmd);
                    let route = slot.map_or_else(|| own.route(), to_master_of);
                    let mut connection = connection.clone();
                    async move {
                        let route = RoutingInfo::SingleNode(route);
                        let sent = connection.route_command(cmd.clone(), route).await;
                        sent.map_err(lost)
                    }
                });
                join_all(sends).await
            }
        }
    }

    /// Sends commands that concern the server itself and no key.
    pub(super) async fn ask(&mut self, pipeline: &redis::Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::Direct(connection) => {
                connection
                    .req_packed_commands(pipeline, 0, pipeline.len())
                    .await
            }
            Self::Cluster(connection, shard) => {
                let route = shard.route();
                connection
                    .route_pipeline(pipeline.clone(), 0, pipeline.len(), route)
                    .await
            }
        }
    }
}

/// What comes as an error and not as a reply is the transport's.
fn lost(error: RedisError) -> Arc<str> {
    error.to_string().into()
}

fn to_master_of(slot: u16) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(_) => f.write_str("Connection"),
            Self::Cluster(_, shard) => write!(f, "Connection({shard:?})"),
        }
    }
}
