//! The reviver: the background task that connects the lanes, and closes the circuit breaker.

use std::{
    fmt::Display,
    sync::{Arc, Weak},
    time::Duration,
};

use deadpool_redis::redis::{Cmd, Pipeline, ServerErrorKind, Value};
use tokio::time::Instant;

use super::{
    Redis,
    claim::Ticket,
    connection::Connection,
    lane::{Lane, Link},
    script::Scripts,
    server_error,
};
use crate::store::state::StoreState;

/// How long a connection attempt, or the first answer on a connection, may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

impl Redis {
    /// Opens the breaker, because there was no answer within `deadline`, and sends the reviver
    /// to look.
    pub(super) fn trip(self: &Arc<Self>, deadline: Duration) {
        if self.breaker.trip(deadline) {
            tracing::warn!(
                target: "tower_keep::store", ?deadline,
                "Redis is unavailable, circuit breaker open: no answer within the deadline"
            );
        }
        self.connect();
    }

    /// Notes that the connection of `link` is gone, or leads to the wrong server. The others
    /// probably do too: calls wait until the reviver has looked.
    pub(super) fn lose(self: &Arc<Self>, link: &Link, why: &str) {
        if self.lanes.lose(link) {
            tracing::debug!(target: "tower_keep::store", why, "lost a connection to Redis");
            self.breaker.lost();
            self.connect();
        }
    }

    /// Replaces a connection on which nothing comes back while others are answered.
    pub(super) fn replace(self: &Arc<Self>, link: &Link) {
        if self.lanes.lose(link) {
            tracing::info!(target: "tower_keep::store", "a connection to Redis gives no answer while another one does, and is replaced");
            self.connect();
        }
    }

    /// Starts the reviver unless it runs. It is a task of its own, so that a connection which
    /// takes longer than one call's deadline still comes about.
    pub(super) fn connect(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ticket) = self.reviving.take()
        {
            let redis = Arc::downgrade(self);
            runtime.spawn(Reviver { redis, ticket }.run());
        }
    }

    /// Whether there is nothing for the reviver to do.
    fn is_whole(&self) -> bool {
        self.breaker.state() == StoreState::Ready
            && self.lanes.iter().all(|lane| lane.get().is_some())
    }

    /// What the breaker learns from a round.
    fn settle(&self, round: &Round) {
        if round.server_was_away {
            self.breaker.forgive();
        }
        match round.answered {
            Some(took) if self.breaker.answered(took) => {
                tracing::info!(target: "tower_keep::store", "connected to Redis");
            }
            Some(_) => {}
            None if round.assumed && self.breaker.state() == StoreState::Ready => {}
            None => {
                self.breaker.unreachable();
            }
        }
    }
}

/// What came of bringing every lane up once.
#[derive(Default)]
struct Round {
    /// The time that the quickest answer took.
    answered: Option<Duration>,
    /// The first thing that went wrong.
    failed: Option<Failure>,
    /// A lane was left as it is, because the breaker is closed.
    assumed: bool,
    /// A connection was refused or lost, which one that is merely slow never is.
    server_was_away: bool,
}

enum Failure {
    Silent(Duration),
    Refused(String),
    /// The pool's limit, not the server.
    NoConnectionLeft(usize),
    /// Somebody else has taken over.
    Superseded,
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent(limit) => write!(f, "no answer within {limit:?}"),
            Self::Refused(why) => f.write_str(why),
            Self::NoConnectionLeft(size) => {
                write!(f, "all {size} connections of the pool are in use")
            }
            Self::Superseded => f.write_str("another task has taken over"),
        }
    }
}

impl Round {
    fn answered(&mut self, took: Duration) {
        self.answered = Some(self.answered.map_or(took, |best| best.min(took)));
    }

    fn failed(&mut self, failure: Failure) {
        self.server_was_away |= matches!(failure, Failure::Refused(_));
        self.failed.get_or_insert(failure);
    }
}

/// The reviver's hold on its store: weak, and it gives the claim back however the task ends.
struct Reviver {
    redis: Weak<Redis>,
    ticket: Ticket,
}

impl Drop for Reviver {
    fn drop(&mut self) {
        if let Some(redis) = self.redis.upgrade() {
            redis.reviving.give_back(&self.ticket);
        }
    }
}

impl Reviver {
    async fn run(mut self) {
        let mut pause = BACKOFF.0;
        let mut reported = false;
        loop {
            let Some(redis) = self.redis.upgrade() else {
                return;
            };
            let round = self.bring_up(&redis).await;
            if matches!(round.failed, Some(Failure::Superseded)) {
                return;
            }
            redis.settle(&round);
            if redis.is_whole() {
                drop(redis);
                return self.leave().await;
            }
            if let Some(error) = round.failed {
                if !std::mem::replace(&mut reported, true) {
                    tracing::warn!(target: "tower_keep::store", %error, "cannot connect to Redis, trying again");
                }
                redis.source.drop_idle();
            }
            drop(redis);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn leave(self) {
        // A server that takes connections and loses them is not stormed with new ones.
        tokio::time::sleep(BACKOFF.0).await;
        let redis = self.redis.upgrade();
        drop(self);
        // A loss from here on starts a new reviver by itself; one before did not, because
        // this one still held the claim.
        if let Some(redis) = redis
            && !redis.is_whole()
        {
            redis.connect();
        }
    }

    /// Brings every lane up: keeps those that answer, replaces the others. Tries no second
    /// connection after one that failed.
    async fn bring_up(&mut self, redis: &Redis) -> Round {
        let mut round = Round::default();
        // While calls are answered, those find out what a lane is worth. A check would wait for
        // a lane that is busy with a large reply, and with it the lane that is missing.
        let closed = redis.breaker.state() == StoreState::Ready;
        for lane in redis.lanes.iter() {
            if let Some(mut link) = lane.get() {
                if closed {
                    round.assumed = true;
                    continue;
                }
                let begun = Instant::now();
                match self
                    .within(redis, ATTEMPT / 2, check(&mut link.connection))
                    .await
                {
                    Ok(()) => {
                        redis.lanes.replied(&link);
                        round.answered(begun.elapsed());
                        continue;
                    }
                    Err(Failure::Superseded) => {
                        round.failed(Failure::Superseded);
                        return round;
                    }
                    Err(failure) => {
                        round.server_was_away |= matches!(failure, Failure::Refused(_));
                        redis.lanes.lose(&link);
                    }
                }
            }
            if round.failed.is_none() {
                match self.raise(redis, lane).await {
                    Ok(took) => round.answered(took),
                    Err(failure) => round.failed(failure),
                }
            }
        }
        round
    }

    /// Connects a lane. Answers how long the server takes for a short command on it.
    async fn raise(&mut self, redis: &Redis, lane: &Lane) -> Result<Duration, Failure> {
        let connecting = redis.source.connect();
        let mut connection = match self
            .within(redis, redis.source.patience(), connecting)
            .await
        {
            Ok(connection) => connection,
            Err(failure) => {
                let exhausted = redis.source.exhausted();
                return Err(exhausted.map_or(failure, Failure::NoConnectionLeft));
            }
        };
        let begun = Instant::now();
        self.within(redis, ATTEMPT, check(&mut connection)).await?;
        let took = begun.elapsed();
        self.within(redis, ATTEMPT, prime(&mut connection, redis.scripts))
            .await?;
        redis.lanes.set(lane, connection);
        Ok(took)
    }

    /// One step, which shows that this reviver is still at work.
    async fn within<T, E: Display>(
        &mut self,
        redis: &Redis,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        if !redis.reviving.keep(&mut self.ticket) {
            return Err(Failure::Superseded);
        }
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(|error| Failure::Refused(error.to_string())),
            Err(_) => Err(Failure::Silent(limit)),
        }
    }
}

/// Makes sure that a server answers which has its data and takes writes. What an ACL does not
/// allow is not asked.
pub(super) async fn check(connection: &mut Connection) -> Result<(), String> {
    let mut pipeline = Pipeline::with_capacity(2);
    // DBSIZE, unlike TIME, is refused while the server loads its data or has lost its master.
    pipeline.cmd("DBSIZE").cmd("ROLE");
    let replies = send(connection, &pipeline).await?;
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

/// Gives the server the scripts. One that may not be loaded goes by its source.
async fn prime(connection: &mut Connection, scripts: Scripts) -> Result<(), String> {
    let mut pipeline = Pipeline::new();
    for script in scripts.iter().copied().flatten() {
        let load = Cmd::new()
            .arg("SCRIPT")
            .arg("LOAD")
            .arg(script.source())
            .take();
        pipeline.add_command(load);
    }
    send(connection, &pipeline).await.map(drop)
}

async fn send(connection: &mut Connection, pipeline: &Pipeline) -> Result<Vec<Value>, String> {
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    let sent = connection.ask(pipeline).await;
    sent.map_err(|error| error.to_string())
}
