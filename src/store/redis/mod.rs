//! Redis over the application's own pool.
//!
//! [`call`](Redis::call) sends the commands of a batch in one write on a *lane*, a connection
//! that was taken out of the pool once and is shared by all concurrent calls. There is no
//! checkout, and so no PING and no UNWATCH, per operation.

mod breaker;
mod claim;
mod cluster;
mod command;
mod connection;
mod elements;
mod follow;
mod handshake;
mod lane;
mod probe;
mod refusals;
mod replica;
mod revive;
mod script;
mod server;
mod source;
mod topology;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_redis::redis::{RedisError, ServerErrorKind, Value};

use breaker::Breaker;
use claim::Claim;
use cluster::Cluster;
pub(crate) use command::{Command, Reply};
use connection::{Connection, Shard};
pub(crate) use elements::NextReply;
use lane::{Lanes, Link};
use refusals::Refusals;
use replica::Replica;
pub(crate) use script::Script;
use script::Scripts;
use server::{LastServer, Server};
use source::Source;
pub(crate) use topology::{Call, Topology};

use super::{
    error::{RefusalKind, StoreError},
    state::StoreState,
};

/// The result of each command of a call.
pub(crate) type Results = Vec<Result<Reply, StoreError>>;

/// Gives every command of a call that failed as a whole the same error.
pub(crate) fn all_failed(error: &StoreError, commands: usize) -> Results {
    (0..commands).map(|_| Err(error.clone())).collect()
}

/// A Redis server behind a pool, the lanes that lead to it and what is known of its health.
#[derive(Debug)]
pub(crate) struct Redis {
    source: Source,
    scripts: Scripts,
    lanes: Lanes,
    breaker: Breaker,
    refusals: Refusals,
    replica: Replica,
    server: LastServer,
    /// Held by the reviver.
    reviving: Claim,
    /// Held by who asks the sentinels.
    following: Claim,
    /// Held by who looks whether the server is silent, or only a connection.
    looking: Claim,
    /// The age of the lanes from which on a connection may be made for that.
    look_from: AtomicU64,
}

impl Redis {
    pub(crate) fn new(source: Source, lanes: usize, scripts: Scripts) -> Arc<Self> {
        Arc::new(Self {
            source,
            scripts,
            lanes: Lanes::new(lanes),
            breaker: Breaker::default(),
            refusals: Refusals::default(),
            replica: Replica::default(),
            server: LastServer::default(),
            reviving: Claim::default(),
            following: Claim::default(),
            looking: Claim::default(),
            look_from: AtomicU64::new(0),
        })
    }

    pub(crate) fn state(&self) -> StoreState {
        match self.breaker.state() {
            StoreState::Ready if self.is_degraded() => StoreState::Degraded,
            state => state,
        }
    }

    fn is_degraded(&self) -> bool {
        self.replica.is_suspected() || self.refusals.lately().next().is_some()
    }

    fn state_of_connections(&self) -> StoreState {
        self.breaker.state()
    }

    fn may_connect_to_look(&self) -> bool {
        self.lanes.age() >= self.look_from.load(Ordering::Relaxed)
    }

    /// Lets the next connection for a look be made after `pause`.
    fn connected_to_look(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.look_from
            .store(self.lanes.age().saturating_add(micros), Ordering::Relaxed);
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = RefusalKind> + use<> {
        let is_replica = self.replica.is_suspected();
        let read_only = is_replica.then_some(RefusalKind::ReadOnly);
        let others = self.refusals.lately();
        others
            .filter(move |kind| !(is_replica && *kind == RefusalKind::ReadOnly))
            .chain(read_only)
    }

    fn learn(&self, server: Server) {
        self.server.learn(server);
    }

    pub(crate) fn server(&self) -> Option<Arc<str>> {
        self.server.name()
    }

    pub(crate) fn connections_epoch(&self) -> u64 {
        self.lanes.epoch()
    }

    /// Where it listens, if it is a shard of a cluster.
    #[cfg(feature = "health")]
    pub(crate) fn address(&self) -> Option<Box<str>> {
        let (host, port) = self.shard()?.master.as_ref()?;
        Some(format!("{host}:{port}").into())
    }

    /// The shard of a cluster that it is.
    fn shard(&self) -> Option<&Shard> {
        match &self.source {
            Source::Cluster { shard, .. } => Some(shard),
            Source::Single(_) | Source::Sentinel(_) => None,
        }
    }

    /// Whether calls fail at once. Makes sure that somebody looks after the server then: the
    /// reviver may have ended with its runtime.
    pub(crate) fn is_unavailable(self: &Arc<Self>) -> bool {
        let unavailable = self.breaker.state() == StoreState::Unavailable;
        if unavailable {
            self.connect();
        }
        unavailable
    }

    /// Executes `commands` in one round trip, within `deadline`.
    async fn call(
        self: Arc<Self>,
        commands: Vec<Command>,
        deadline: Duration,
    ) -> Result<Results, StoreError> {
        let mut link = None;
        // Held by the attempt until it ends.
        let on = &mut link;
        {
            let mut attempt = std::pin::pin!(self.attempt(&commands, deadline / 3, on));
            let mut left = deadline;
            for step in [deadline / 2, deadline / 4] {
                match tokio::time::timeout(step, &mut attempt).await {
                    Ok(result) => return result,
                    Err(_) => left -= step,
                }
                self.look(left);
            }
            if let Ok(result) = tokio::time::timeout(left, attempt).await {
                return result;
            }
        }
        self.unanswered(link.as_ref(), deadline);
        Err(StoreError::DeadlineExceeded(deadline))
    }

    /// Finds out whom a call waited for in vain. A server that has answered others meanwhile
    /// is alive, and slow with this call only; so is a connection.
    fn unanswered(self: &Arc<Self>, link: Option<&Link>, deadline: Duration) {
        let lately = deadline / 2;
        if !self.lanes.any_replied_within(lately) {
            self.trip(deadline);
        } else if let Some(link) = link
            && !self.lanes.replied_within(link, lately)
        {
            self.replace(link);
        }
    }

    /// Sends `commands`. When their connection is lost, those that may be sent twice are, and
    /// the others fail.
    async fn attempt(
        self: &Arc<Self>,
        commands: &[Command],
        patience: Duration,
        on: &mut Option<Link>,
    ) -> Result<Results, StoreError> {
        let lost = match self.send(commands, patience, on).await {
            Err(StoreError::Connection(lost)) => lost,
            done => return done,
        };
        let again = commands.iter().filter(|command| command.is_replayable());
        let again: Vec<_> = again.cloned().collect();
        if again.is_empty() {
            return Err(StoreError::Connection(lost));
        }
        let results = self.send(&again, patience, on).await;
        let mut results = results
            .unwrap_or_else(|error| all_failed(&error, again.len()))
            .into_iter();
        let of = |command: &Command| match command.is_replayable() {
            true => results.next(),
            false => None,
        };
        let ordered = commands.iter().map(of);
        let lost = || Err(StoreError::Connection(lost.clone()));
        Ok(ordered.map(|result| result.unwrap_or_else(lost)).collect())
    }

    /// Leaves the link it waits on in `on`.
    async fn send(
        self: &Arc<Self>,
        commands: &[Command],
        patience: Duration,
        on: &mut Option<Link>,
    ) -> Result<Results, StoreError> {
        let link = on.insert(self.link().await?);
        match exchange(&mut link.connection, commands, &self.refusals).await {
            Ok(mut results) => {
                self.lanes.replied(link);
                if results.iter().any(is_refused_by_a_replica) {
                    let again = self.send_to_the_master(commands, &mut results, on);
                    // Whatever comes of it, what only reads has its reply.
                    let _ = tokio::time::timeout(patience, again).await;
                }
                Ok(results)
            }
            Err(lost) => {
                self.lose(link, &lost);
                Err(StoreError::Connection(lost))
            }
        }
    }

    /// Sends the commands once more that a replica has refused, if the master is found. A replica
    /// has executed nothing of them.
    #[cold]
    async fn send_to_the_master(
        self: &Arc<Self>,
        commands: &[Command],
        results: &mut Results,
        on: &mut Option<Link>,
    ) {
        let is_worth_waiting = self.replica.suspect();
        self.connect();
        if !is_worth_waiting || !self.replica.master_is_back().await {
            return;
        }
        let Ok(link) = self.link().await else { return };
        let link = on.insert(link);
        for (result, command) in results.iter_mut().zip(commands) {
            if is_refused_by_a_replica(result) {
                let command = std::slice::from_ref(command);
                let sent = exchange(&mut link.connection, command, &self.refusals).await;
                match sent.map(|mut again| again.pop()) {
                    Ok(again) => *result = again.unwrap_or(Err(StoreError::Unavailable)),
                    Err(lost) => {
                        self.lose(link, &lost);
                        *result = Err(StoreError::Connection(lost));
                        return;
                    }
                }
            }
        }
    }

    /// A lane's link. Waits while lanes are being connected, and fails at once while the
    /// breaker is open.
    async fn link(self: &Arc<Self>) -> Result<Link, StoreError> {
        loop {
            match self.breaker.state() {
                StoreState::Ready | StoreState::Degraded => {
                    if let Some(link) = self.lanes.next() {
                        return Ok(link);
                    }
                    self.breaker.lost();
                    self.connect();
                }
                StoreState::Connecting => self.connect(),
                StoreState::Unavailable => return Err(StoreError::Unavailable),
            }
            self.breaker.known().await;
        }
    }
}

/// Sends `commands` and reads their replies; an error says why the connection is of no more
/// use. A script that the server does not know (after `SCRIPT FLUSH`, a restart or a failover)
/// is sent again by its source, and it alone.
async fn exchange(
    connection: &mut Connection,
    commands: &[Command],
    refusals: &Refusals,
) -> Result<Results, Arc<str>> {
    // What comes as an error and not as a reply is the transport's.
    let lost = |error: RedisError| Arc::from(error.to_string());
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = connection.send(commands).await.map_err(lost)?;
    for (value, command) in values.iter_mut().zip(commands) {
        if server_error(value) == Some(ServerErrorKind::NoScript)
            && let Some(eval) = command.with_source()
        {
            *value = (connection.send_one(&eval, command.slot()).await).map_err(lost)?;
        }
    }
    let outcomes = values.into_iter().zip(commands);
    outcomes
        .map(|(value, command)| outcome(value, command, refusals))
        .collect()
}

/// What a command's reply means for it alone; an error, what it means for the connection.
fn outcome(
    value: Value,
    command: &Command,
    refusals: &Refusals,
) -> Result<Result<Reply, StoreError>, Arc<str>> {
    let Value::ServerError(error) = value else {
        refusals.succeeded(command);
        return Ok(Ok(Reply(value)));
    };
    let message = Arc::from(error.to_string());
    // The wrong server for now: one that loads its data, a replica that has lost its master.
    if matches!(
        error.kind(),
        Some(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    ) {
        return Err(message);
    }
    let kind = RefusalKind::of_error(error.code(), error.details().unwrap_or_default());
    refusals.refused(kind, command, &message);
    Ok(Err(StoreError::Refused { kind, message }))
}

fn is_refused_by_a_replica(result: &Result<Reply, StoreError>) -> bool {
    let kind = RefusalKind::ReadOnly;
    matches!(result, Err(StoreError::Refused { kind: refused, .. }) if *refused == kind)
}

fn server_error(value: &Value) -> Option<ServerErrorKind> {
    match value {
        Value::ServerError(error) => error.kind(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
