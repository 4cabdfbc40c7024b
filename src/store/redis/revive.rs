//! The reviver: the background task that connects the lanes, and closes the circuit breaker.

use std::{
    fmt::Display,
    sync::{Arc, Weak},
    time::Duration,
};

use deadpool_redis::{
    Connection,
    redis::{Cmd, Pipeline, ServerErrorKind, Value, aio::MultiplexedConnection},
};

use super::{
    Redis,
    lane::{Lane, Link},
    script, server_error,
};
use crate::store::StoreState;

/// How long a connection attempt, or the first answer on a connection, may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// The deadline is the call's: redis-rs' own must not cut it short.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

impl Redis {
    /// Opens the breaker and sends the reviver to look.
    pub(super) fn trip(self: &Arc<Self>, why: &str) {
        if self.health.set(StoreState::Unavailable) {
            tracing::warn!(target: "tower_keep::store", why, "Redis is unavailable, circuit breaker open");
        }
        self.connect();
    }

    /// Notes that the connection of `link` is gone, or leads to the wrong server. The others
    /// probably do too: calls wait until the reviver has looked.
    pub(super) fn lose(self: &Arc<Self>, link: &Link, why: &str) {
        if self.lanes.lose(link) {
            tracing::debug!(target: "tower_keep::store", why, "lost a connection to Redis");
            self.health.lost();
            self.connect();
        }
    }

    /// Replaces a connection on which nothing comes back while others are answered.
    pub(super) fn replace(self: &Arc<Self>, link: &Link) {
        if self.lanes.lose(link) {
            tracing::warn!(target: "tower_keep::store", "a connection to Redis gives no answer and is replaced");
            self.connect();
        }
    }

    /// Starts the reviver unless it runs. It is a task of its own, so that a connection which
    /// takes longer than one call's deadline still comes about.
    pub(super) fn connect(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.health.start_reviving()
        {
            runtime.spawn(revive(Reviver(Arc::downgrade(self))));
        }
    }

    /// Brings every lane up: keeps those that answer, replaces the others. Tries no second
    /// connection after one that failed.
    async fn reconnect(&self) -> Result<(), String> {
        let mut result = Ok(());
        for lane in self.lanes.iter() {
            if let Some(mut link) = lane.get() {
                if within(ATTEMPT / 2, prime(&mut link.connection))
                    .await
                    .is_ok()
                {
                    self.lanes.replied(&link);
                    continue;
                }
                self.lanes.lose(&link);
            }
            if result.is_ok() {
                result = self.raise(lane).await;
            }
        }
        result
    }

    async fn raise(&self, lane: &Lane) -> Result<(), String> {
        let mut connection = match within(ATTEMPT, self.pool.get()).await {
            Ok(connection) => Connection::take(connection),
            Err(error) => {
                let pool = self.pool.status();
                if pool.available == 0 && pool.size >= pool.max_size {
                    let size = pool.max_size;
                    return Err(format!("all {size} connections of the pool are in use"));
                }
                return Err(error);
            }
        };
        connection.set_response_timeout(NO_TIMEOUT);
        within(ATTEMPT, prime(&mut connection)).await?;
        self.lanes.set(lane, connection);
        Ok(())
    }

    /// Whether there is nothing for the reviver to do.
    fn is_whole(&self) -> bool {
        self.health.state() == StoreState::Ready
            && self.lanes.iter().all(|lane| lane.get().is_some())
    }

    /// What the lanes say after an attempt.
    fn settle(&self) {
        if self.lanes.iter().any(|lane| lane.get().is_some()) {
            if self.health.set(StoreState::Ready) {
                tracing::info!(target: "tower_keep::store", "connected to Redis");
            }
        } else {
            self.health.set(StoreState::Unavailable);
        }
    }
}

/// The reviver's hold on its store: weak, and it clears the flag however the task ends.
struct Reviver(Weak<Redis>);

impl Drop for Reviver {
    fn drop(&mut self) {
        if let Some(redis) = self.0.upgrade() {
            redis.health.stop_reviving();
        }
    }
}

async fn revive(reviver: Reviver) {
    let mut pause = BACKOFF.0;
    let mut reported = false;
    loop {
        let Some(redis) = reviver.0.upgrade() else {
            return;
        };
        match redis.reconnect().await {
            Ok(()) => {
                redis.settle();
                drop(redis);
                // A server that takes connections and loses them is not stormed with new ones.
                tokio::time::sleep(BACKOFF.0).await;
                let redis = reviver.0.upgrade();
                drop(reviver);
                // From here on whoever sees a loss starts anew; this one sees those before.
                if let Some(redis) = redis
                    && !redis.is_whole()
                {
                    redis.connect();
                }
                return;
            }
            Err(error) => {
                redis.settle();
                if !std::mem::replace(&mut reported, true) {
                    tracing::warn!(target: "tower_keep::store", error, "cannot connect to Redis, trying again");
                }
                // The idle ones of the pool are as dead, and each would cost an attempt.
                redis.pool.retain(|_, _| false);
            }
        }
        drop(redis);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn within<T, E: Display>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// Makes sure that a server answers which has its data and takes writes, and gives it the
/// scripts. What an ACL does not allow is not asked: a script then goes by its source.
async fn prime(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let mut pipeline = Pipeline::with_capacity(script::ALL.len() + 2);
    // DBSIZE, unlike TIME, is refused while the server loads its data or has lost its master.
    pipeline.cmd("DBSIZE").cmd("ROLE");
    for script in script::ALL {
        let load = Cmd::new()
            .arg("SCRIPT")
            .arg("LOAD")
            .arg(script.source())
            .take();
        pipeline.add_command(load);
    }
    let sent = connection.send_packed_commands(&pipeline, 0, pipeline.len());
    let replies = sent.await.map_err(|error| error.to_string())?;
    if let Some(refusal @ Value::ServerError(error)) = replies.first()
        && server_error(refusal) != Some(ServerErrorKind::NoPerm)
    {
        return Err(error.to_string());
    }
    if let Some(Value::Array(role)) = replies.get(1)
        && role.first() == Some(&Value::BulkString(b"slave".to_vec()))
    {
        return Err("the server is a replica, which takes no writes".to_owned());
    }
    Ok(())
}
