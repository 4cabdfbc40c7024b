//! Lanes: the few connections that all calls share, and the task that (re)connects them.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_redis::{
    Connection,
    redis::{
        Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection,
    },
};

use super::{Redis, script};
use crate::store::StoreState;

/// How long a connection attempt, or the first answer on a connection, may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// The shared connections. `MultiplexedConnection` never heals itself and cannot be asked
/// whether it is closed, so each carries a generation by which a failed call names it.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lane(Mutex<(Option<MultiplexedConnection>, u64)>);

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        let lanes = (0..count.max(1)).map(|_| Lane::default()).collect();
        Self {
            lanes,
            next: AtomicUsize::new(0),
        }
    }

    /// The next lane in turn that has a connection.
    pub(super) fn next(&self) -> Option<(MultiplexedConnection, u64)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.lanes.len()).find_map(|step| self.lanes[(turn + step) % self.lanes.len()].get())
    }

    fn lose(&self, generation: u64) -> bool {
        self.lanes.iter().any(|lane| lane.lose(generation))
    }
}

impl Lane {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Option<MultiplexedConnection>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Option<(MultiplexedConnection, u64)> {
        let lane = self.lock();
        lane.0.clone().map(|connection| (connection, lane.1))
    }

    fn set(&self, connection: MultiplexedConnection) {
        static GENERATION: AtomicUsize = AtomicUsize::new(1);
        *self.lock() = (
            Some(connection),
            GENERATION.fetch_add(1, Ordering::Relaxed) as u64,
        );
    }

    fn lose(&self, generation: u64) -> bool {
        let mut lane = self.lock();
        lane.1 == generation && lane.0.take().is_some()
    }
}

impl Redis {
    /// Opens the breaker and sends the reviver to look.
    pub(super) fn trip(self: &Arc<Self>, why: &str) {
        if self.health.set(StoreState::Unavailable) {
            tracing::warn!(target: "tower_keep::store", why, "Redis is unavailable, circuit breaker open");
        }
        self.connect();
    }

    /// Notes that the connection of `generation` is gone. A late word on a connection that has
    /// been replaced already changes nothing.
    pub(super) fn lose(self: &Arc<Self>, generation: u64, error: &RedisError) {
        if self.lanes.lose(generation) {
            tracing::debug!(target: "tower_keep::store", %error, "lost a connection to Redis");
            if self.health.state() == StoreState::Ready {
                self.health.set(StoreState::Connecting);
            }
            self.connect();
        }
    }

    /// Starts the reviver unless it runs. It is a task of its own, so that a connection which
    /// takes longer than one call's deadline still comes about.
    pub(super) fn connect(self: &Arc<Self>) {
        if !self.health.reviving().swap(true, Ordering::AcqRel) {
            tokio::spawn(revive(Reviver(Arc::downgrade(self))));
        }
    }

    /// Brings every lane up: keeps those that answer, replaces the others.
    async fn reconnect(&self) -> Result<(), String> {
        for lane in &self.lanes.lanes {
            if let Some((mut connection, _)) = lane.get()
                && within(ATTEMPT / 2, prime(&mut connection)).await.is_ok()
            {
                continue;
            }
            let connection = within(ATTEMPT, self.pool.get()).await?;
            let mut connection = Connection::take(connection);
            // Calls set their own; a shorter one of the pool would cut the first answer's.
            connection.set_response_timeout(Duration::from_secs(3600));
            within(ATTEMPT, prime(&mut connection)).await?;
            lane.set(connection);
        }
        Ok(())
    }
}

/// The reviver's hold on its store: weak, and it clears the flag however the task ends.
struct Reviver(Weak<Redis>);

impl Drop for Reviver {
    fn drop(&mut self) {
        if let Some(redis) = self.0.upgrade() {
            redis.health.reviving().store(false, Ordering::Release);
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
                redis.health.replied();
                // Before the state changes: whoever sees `Ready` and fails may start anew.
                drop(reviver);
                if redis.health.set(StoreState::Ready) {
                    tracing::info!(target: "tower_keep::store", "connected to Redis");
                }
                return;
            }
            Err(error) => {
                redis.health.set(StoreState::Unavailable);
                if !std::mem::replace(&mut reported, true) {
                    tracing::warn!(target: "tower_keep::store", error, "cannot reach Redis, trying again");
                }
            }
        }
        drop(redis);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn within<T, E: std::fmt::Display>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// Makes sure that the server answers and has the scripts. An error about one script (an ACL
/// without SCRIPT, say) is no reason to refuse the connection: such a call goes by its source.
async fn prime(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let mut pipeline = Pipeline::with_capacity(script::ALL.len() + 1);
    pipeline.add_command(Cmd::new().arg("TIME").take());
    for script in script::ALL {
        pipeline.add_command(
            Cmd::new()
                .arg("SCRIPT")
                .arg("LOAD")
                .arg(script.source())
                .take(),
        );
    }
    for value in connection
        .send_packed_commands(&pipeline, 0, pipeline.len())
        .await?
    {
        if let Value::ServerError(error) = value {
            let error = RedisError::from(error);
            let not_yet = matches!(
                error.kind(),
                ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
            );
            if not_yet || error.is_unrecoverable_error() {
                return Err(error);
            }
        }
    }
    Ok(())
}
