//! A connection that many calls share, to one server or to one shard of a cluster.

use std::{fmt, sync::Arc};

use deadpool_redis::{
    cluster::ClusterConnection,
    redis::{
        Cmd, Pipeline, RedisResult, Value,
        aio::{ConnectionLike, MultiplexedConnection},
        cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    },
};
use futures_util::future::try_join_all;

use super::command::Command;

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
    /// Sends commands in one go and answers their replies in order.
    pub(super) async fn send(&mut self, commands: &[Command]) -> RedisResult<Vec<Value>> {
        match (self, commands) {
            (Self::Direct(connection), [single]) => {
                let value = connection.send_packed_command(single.cmd()).await?;
                Ok(vec![value])
            }
            (Self::Direct(connection), several) => {
                let pipeline = pipeline(several.iter().map(Command::cmd));
                connection
                    .send_packed_commands(&pipeline, 0, several.len())
                    .await
            }
            // One by one, side by side: a pipeline is redirected as a whole or not at all.
            (this @ Self::Cluster(..), several) => {
                let sends = several.iter().map(|command| {
                    let mut connection = this.clone();
                    async move { connection.send_one(command.cmd(), command.slot()).await }
                });
                try_join_all(sends).await
            }
        }
    }

    /// Sends one command, to the shard of `slot` or to this connection's own.
    pub(super) async fn send_one(&mut self, cmd: &Cmd, slot: Option<u16>) -> RedisResult<Value> {
        match self {
            Self::Direct(connection) => connection.send_packed_command(cmd).await,
            Self::Cluster(connection, own) => {
                let route = RoutingInfo::SingleNode(slot.map_or_else(|| own.route(), to_master_of));
                connection.route_command(cmd.clone(), route).await
            }
        }
    }

    /// Sends commands that concern the server itself and no key.
    pub(super) async fn ask(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
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

fn to_master_of(slot: u16) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master))
}

fn pipeline<'a>(commands: impl ExactSizeIterator<Item = &'a Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    pipeline
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(_) => f.write_str("Connection"),
            Self::Cluster(_, shard) => write!(f, "Connection({shard:?})"),
        }
    }
}
