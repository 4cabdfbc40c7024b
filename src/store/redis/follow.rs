//! Following what the sentinels say.
//!
//! When sentinels order a failover of a master that is alive, they tell it to be a replica only
//! some ten seconds later. Until then it takes writes, which are lost, and nothing on its
//! connections tells. So the sentinels are asked now and then, by a connection that they lead to.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use deadpool_redis::redis::{Pipeline, Value};
use tokio::time::timeout;

use super::{
    claim::Ticket,
    connection::Connection,
    handshake::{Role, check},
    server::Redis,
};
use crate::store::state::StoreState;

/// How often they are asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ATTEMPT: Duration = Duration::from_millis(800);

impl Redis {
    /// Keeps asking the sentinels, if there are any, which server is the master.
    pub(super) fn follow(self: &Arc<Self>) {
        if self.source.has_sentinels()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ticket) = self.following.take()
        {
            let redis = Arc::downgrade(self);
            runtime.spawn(Follower { redis, ticket }.run());
        }
    }

    /// Whether the sentinels lead to a master that is another server than that of the lanes.
    /// `false` where that cannot be told, because none answers or `INFO` is not allowed.
    async fn is_deposed(&self) -> bool {
        let Some(link) = self.lanes.iter().find_map(|lane| lane.get()) else {
            return false;
        };
        let Some(mut named) = self.source.connect_by_sentinels().await else {
            return false;
        };
        let (Some(own), Some(other)) = (
            run_id(&mut link.connection()).await,
            run_id(&mut named).await,
        ) else {
            return false;
        };
        own != other && check(&mut named).await == Ok(Role::Master)
    }
}

/// Names the run of a server.
async fn run_id(connection: &mut Connection) -> Option<String> {
    let mut info = Pipeline::with_capacity(1);
    info.cmd("INFO").arg("server");
    let reply = connection.ask(&info).await.ok()?.pop()?;
    let text = match reply {
        Value::BulkString(text) => String::from_utf8(text).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let mut lines = text.lines();
    let id = lines.find_map(|line| line.strip_prefix("run_id:"));
    Some(id?.trim().to_owned())
}

/// Its hold on the store is weak, and it gives the claim back however the task ends.
struct Follower {
    redis: Weak<Redis>,
    ticket: Ticket,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(redis) = self.redis.upgrade() {
            redis.following.give_back(&self.ticket);
        }
    }
}

impl Follower {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(redis) = self.redis.upgrade() else {
                return;
            };
            if !redis.following.keep(&mut self.ticket) {
                return;
            }
            // While there is no connection the reviver asks them.
            if redis.state_of_connections() == StoreState::Ready
                && timeout(ATTEMPT, redis.is_deposed()).await == Ok(true)
            {
                tracing::info!(target: "tower_keep::store", "the sentinels name another master");
                for link in redis.lanes.iter().filter_map(|lane| lane.get()) {
                    redis.lose(&link, "the sentinels name another master");
                }
            }
        }
    }
}
