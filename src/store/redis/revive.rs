//! The reviver: the background task that connects the lanes, and closes the circuit breaker.

use std::{
    fmt::Display,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    claim::Ticket,
    handshake::{Role, check, prime},
    lane::{Lane, Link},
    server::Redis,
};
use crate::store::state::StoreState;

/// How long a connection attempt, or the first answer on a connection, may take, unless calls have
/// a longer deadline; and how long at most.
const ATTEMPT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often the reviver shows that it is at work.
const SIGN_OF_LIFE: Duration = Duration::from_millis(300);
/// The pause between attempts doubles from the first to the second of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// The longest pause while a replica answers what only reads.
const BACKOFF_OF_A_REPLICA: Duration = Duration::from_millis(500);

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
            runtime.spawn(
                Reviver {
                    redis,
                    ticket,
                    limit: ATTEMPT.0,
                }
                .run(),
            );
        }
    }

    /// Whether there is nothing for the reviver to do.
    fn is_whole(&self) -> bool {
        self.breaker.state() == StoreState::Ready
            && !self.replica.is_suspected()
            && self.lanes.iter().all(|lane| lane.get().is_some())
    }

    /// What the breaker learns from a round.
    fn settle(&self, round: &Round) {
        if round.server_was_away {
            self.breaker.forgive();
        }
        match round.answered {
            Some(took) if self.breaker.answered(took, self.patience()) => {
                tracing::info!(target: "tower_keep::store", "connected to Redis");
            }
            Some(_) => {}
            None if round.assumed && self.breaker.state() == StoreState::Ready => {}
            None => {
                self.breaker.unreachable();
            }
        }
        self.replica.looked(round.replica);
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
    /// A lane leads to a replica.
    replica: bool,
    /// A new connection did.
    found_replica: bool,
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

/// The reviver's hold on its store: weak, and it gives the claim back however the task ends. Calls
/// that still wait then, because it ended with its runtime, start another.
struct Reviver {
    redis: Weak<Redis>,
    ticket: Ticket,
    /// How long this attempt may take.
    limit: Duration,
}

impl Drop for Reviver {
    fn drop(&mut self) {
        if let Some(redis) = self.redis.upgrade() {
            redis.reviving.give_back(&self.ticket);
            redis.breaker.abandoned();
        }
    }
}

impl Reviver {
    async fn run(mut self) {
        let mut pause = BACKOFF.0;
        let mut reported = false;
        let mut was_patient = false;
        loop {
            let Some(redis) = self.redis.upgrade() else {
                return;
            };
            // An attempt that calls wait for takes as long as they do. While none does, one that
            // hangs must not keep the next from a server that is back: every other is short.
            was_patient = redis.breaker.state() != StoreState::Unavailable || !was_patient;
            self.limit = match was_patient {
                true => redis.patience().clamp(ATTEMPT.0, ATTEMPT.1),
                false => ATTEMPT.0,
            };
            let round = self.bring_up(&redis).await;
            if matches!(round.failed, Some(Failure::Superseded)) {
                return;
            }
            redis.settle(&round);
            if redis.is_whole() {
                redis.follow();
                drop(redis);
                return self.leave().await;
            }
            if let Some(error) = round.failed {
                if !std::mem::replace(&mut reported, true) {
                    tracing::warn!(target: "tower_keep::store", %error, "cannot connect to Redis, trying again");
                }
                redis.source.drop_idle();
            }
            let longest = if round.replica {
                BACKOFF_OF_A_REPLICA
            } else {
                BACKOFF.1
            };
            drop(redis);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
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

    /// Brings every lane up: keeps those that answer, replaces the others. One that leads to a
    /// replica is kept until a new connection leads to the master. Tries no second connection
    /// after one that failed or led to a replica.
    async fn bring_up(&mut self, redis: &Redis) -> Round {
        let mut round = Round::default();
        // While calls are answered, those find out what a lane is worth. A check would wait for
        // a lane that is busy with a large reply, and with it the lane that is missing.
        let closed = redis.breaker.state() == StoreState::Ready;
        let suspected = redis.replica.is_suspected();
        for lane in redis.lanes.iter() {
            let mut is_up = false;
            if let Some(link) = lane.get() {
                if closed && !suspected {
                    round.assumed = true;
                    continue;
                }
                let begun = Instant::now();
                match self
                    .within(redis, ATTEMPT.0 / 2, check(&mut link.connection()))
                    .await
                {
                    Ok(role) => {
                        redis.lanes.replied(&link);
                        round.answered(begun.elapsed());
                        if role == Role::Master || role == Role::Untold && !suspected {
                            continue;
                        }
                        is_up = true;
                        round.replica |= role == Role::Replica;
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
            if round.failed.is_none() && !(is_up && round.found_replica) {
                match self.raise(redis, lane, is_up).await {
                    Ok((took, role)) => {
                        round.answered(took);
                        round.found_replica = role == Role::Replica;
                        // The other lanes have been to the replica before.
                        round.replica = round.found_replica;
                    }
                    Err(failure) => round.failed(failure),
                }
            }
        }
        round
    }

    /// Connects a lane, if not to a replica where `is_up` already. Answers how long the server
    /// takes for a short command on the new connection.
    async fn raise(
        &mut self,
        redis: &Redis,
        lane: &Lane,
        is_up: bool,
    ) -> Result<(Duration, Role), Failure> {
        let limit = self.limit;
        let connecting = redis.source.connect();
        let connecting = self.within(redis, limit.max(redis.source.patience()), connecting);
        let mut connection = match connecting.await {
            Ok(connection) => connection,
            Err(failure) => {
                let exhausted = redis.source.exhausted();
                return Err(exhausted.map_or(failure, Failure::NoConnectionLeft));
            }
        };
        let begun = Instant::now();
        let role = self.within(redis, limit, check(&mut connection)).await?;
        let took = begun.elapsed();
        if !(is_up && role == Role::Replica) {
            let priming = prime(&mut connection, redis.scripts);
            let server = self.within(redis, limit, priming).await?;
            redis.identity.learn(server);
            redis.lanes.set(lane, connection);
        }
        Ok((took, role))
    }

    /// One step, which shows that this reviver is still at work.
    async fn within<T, E: Display>(
        &mut self,
        redis: &Redis,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + limit;
        let mut work = std::pin::pin!(work);
        loop {
            if !redis.reviving.keep(&mut self.ticket) {
                return Err(Failure::Superseded);
            }
            let next = end.min(Instant::now() + SIGN_OF_LIFE);
            match tokio::time::timeout_at(next, &mut work).await {
                Ok(result) => return result.map_err(|error| Failure::Refused(error.to_string())),
                Err(_) if next == end => return Err(Failure::Silent(limit)),
                Err(_) => {}
            }
        }
    }
}
