//! Reading from a cluster which of its servers has which slot.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use deadpool_redis::redis::{
    Pipeline, RedisResult, Value,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
    cmd,
};
use futures_util::future::select_ok;
use tokio::time::{sleep, timeout};

use super::{Cluster, Members, layout::Layout};
use crate::store::{
    redis::{
        access::{Access, Address},
        claim::Ticket,
        connection::Connection,
    },
    state::StoreState,
};

/// How long an attempt may take. All who are asked are asked at once, so that it ends with the
/// first answer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The pause between attempts doubles from the first to the second of these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(300));

impl Cluster {
    /// Reads the map in the background, unless somebody does so already, and again until every
    /// shard answers.
    pub(super) fn read_map(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ticket) = self.reading.take()
        {
            let cluster = Arc::downgrade(self);
            runtime.spawn(Reader { cluster, ticket }.run());
        }
    }

    pub(super) async fn layout(&self) -> Option<Layout> {
        match &self.members {
            Members::Nodes(nodes) => self.layout_by_nodes(nodes).await,
            Members::Pool(pool) => {
                let mut connection = pool.get().await.ok()?;
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
                let mut slots = cmd("CLUSTER");
                slots.arg("SLOTS");
                let reply = connection.route_command(slots, any).await.ok()?;
                Layout::read(&reply, None)
            }
        }
    }

    /// Asks the masters on the connections that there are, and if there are none or they give no
    /// answer, everybody on new ones.
    async fn layout_by_nodes(&self, nodes: &[Access]) -> Option<Layout> {
        type Question<'a> = Pin<Box<dyn Future<Output = Result<Layout, ()>> + Send + 'a>>;
        let map = self.map();
        let mut questions: Vec<Question<'_>> = Vec::new();
        for shard in &map.shards {
            if shard.state() != StoreState::Unavailable
                && let Some(link) = shard.lanes.iter().find_map(|lane| lane.get())
            {
                let asked = shard.shard().and_then(|shard| shard.master.clone());
                questions.push(Box::pin(ask(link.connection(), asked)));
            }
        }
        if !questions.is_empty()
            && let Ok(Ok((layout, _))) = timeout(ATTEMPT / 8, select_ok(questions)).await
        {
            return Some(layout);
        }
        let named = nodes.iter().map(|node| (node.clone(), node.address()));
        let known = (map.nodes.iter()).map(|address| (nodes[0].to(address), Some(address.clone())));
        let questions = named.chain(known).map(|(access, address)| {
            let question: Question<'_> = Box::pin(async move {
                let connection = access.connect().await.map_err(|error| {
                    tracing::debug!(target: "tower_keep::store", %error, "a node of the cluster cannot be connected to");
                })?;
                ask(Connection::Direct(connection), address).await
            });
            question
        });
        let (layout, _) = select_ok(questions).await.ok()?;
        Some(layout)
    }
}

async fn ask(mut connection: Connection, asked: Option<Address>) -> Result<Layout, ()> {
    let mut slots = Pipeline::with_capacity(1);
    slots.cmd("CLUSTER").arg("SLOTS");
    let replies: RedisResult<Vec<Value>> = connection.ask(&slots).await;
    let reply = replies.ok().and_then(|mut replies| replies.pop());
    let reply = reply.ok_or(())?;
    if let Value::ServerError(error) = &reply {
        tracing::warn!(
            target: "tower_keep::store", %error,
            "a cluster has to answer CLUSTER SLOTS, which this server does not"
        );
    }
    Layout::read(&reply, asked.as_ref()).ok_or(())
}

/// Its hold on the cluster is weak, and it gives the claim back however the task ends. Calls that
/// still wait then, because it ended with its runtime, start another.
struct Reader {
    cluster: Weak<Cluster>,
    ticket: Ticket,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.reading.give_back(&self.ticket);
            cluster.learned.notify_waiters();
        }
    }
}

impl Reader {
    async fn run(mut self) {
        let mut pause = PAUSE.0;
        let mut reported = false;
        loop {
            let Some(cluster) = self.cluster.upgrade() else {
                return;
            };
            let layout = timeout(ATTEMPT, cluster.layout()).await.ok().flatten();
            if layout.is_none() && !std::mem::replace(&mut reported, true) {
                tracing::warn!(
                    target: "tower_keep::store",
                    "no node of the cluster tells where its slots are, trying again"
                );
            }
            cluster.learn(layout.as_ref());
            let is_well = cluster.map().is_well();
            if !cluster.reading.keep(&mut self.ticket) {
                return;
            }
            drop(cluster);
            // Before the end as well: one that moves many slots is not asked after each.
            sleep(pause).await;
            if is_well {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}
