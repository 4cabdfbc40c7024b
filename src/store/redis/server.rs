//! One server: the lanes that lead to it and what is known of its health.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    breaker::Breaker,
    claim::Claim,
    command::Command,
    connection::Shard,
    exchange::{exchange, is_refused_by_a_replica},
    identity::LastSeen,
    lane::{Lanes, Link},
    refusals::Refusals,
    replica::Replica,
    reply::{Results, all_failed},
    script::Scripts,
    source::Source,
};
use crate::store::{
    error::{RefusalKind, StoreError},
    state::StoreState,
};

/// A Redis server behind a pool, the lanes that lead to it and what is known of its health.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(super) source: Source,
    pub(super) scripts: Scripts,
    pub(super) lanes: Lanes,
    pub(super) breaker: Breaker,
    pub(super) refusals: Refusals,
    pub(super) replica: Replica,
    pub(super) identity: LastSeen,
    /// Held by the reviver.
    pub(super) reviving: Claim,
    /// Held by who asks the sentinels.
    pub(super) following: Claim,
    /// Held by who looks whether the server is silent, or only a connection.
    pub(super) looking: Claim,
    /// Milliseconds of the longest deadline so far.
    patience: AtomicU64,
    /// The age of the lanes from which on a connection may be made for that.
    pub(super) look_from: AtomicU64,
}

impl Redis {
    pub(crate) fn new(source: Source, lanes: usize, scripts: Scripts) -> Arc<Self> {
        let refusals = Refusals::of(&source);
        Arc::new(Self {
            source,
            scripts,
            lanes: Lanes::new(lanes),
            breaker: Breaker::default(),
            refusals,
            replica: Replica::default(),
            identity: LastSeen::default(),
            reviving: Claim::default(),
            following: Claim::default(),
            looking: Claim::default(),
            patience: AtomicU64::new(0),
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

    pub(super) fn state_of_connections(&self) -> StoreState {
        self.breaker.state()
    }

    /// How long the most patient caller waits.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    fn note(&self, deadline: Duration) {
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        // Looked at first: a write would take the cache line from the other threads.
        if self.patience.load(Ordering::Relaxed) < millis {
            self.patience.fetch_max(millis, Ordering::Relaxed);
        }
    }

    pub(super) fn may_connect_to_look(&self) -> bool {
        self.lanes.age() >= self.look_from.load(Ordering::Relaxed)
    }

    /// Lets the next connection for a look be made after `pause`.
    pub(super) fn connected_to_look(&self, pause: Duration) {
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

    pub(crate) fn server(&self) -> Option<Arc<str>> {
        self.identity.name()
    }

    pub(crate) fn connections_epoch(&self) -> u64 {
        self.lanes.epoch()
    }

    /// Where it listens, if it is a shard of a cluster.
    #[cfg(any(feature = "health", feature = "inspect"))]
    pub(crate) fn address(&self) -> Option<Box<str>> {
        let (host, port) = self.shard()?.master.as_ref()?;
        Some(format!("{host}:{port}").into())
    }

    /// The shard of a cluster that it is.
    pub(super) fn shard(&self) -> Option<&Shard> {
        self.source.shard()
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
    pub(super) async fn call(
        self: Arc<Self>,
        commands: Vec<Command>,
        deadline: Duration,
    ) -> Result<Results, StoreError> {
        self.execute(&commands, deadline).await
    }

    /// As [`call`](Self::call), for who still needs the commands.
    pub(super) async fn execute(
        self: &Arc<Self>,
        commands: &[Command],
        deadline: Duration,
    ) -> Result<Results, StoreError> {
        self.note(deadline);
        let mut link = None;
        // Held by the attempt until it ends.
        let on = &mut link;
        {
            let mut attempt = std::pin::pin!(self.attempt(commands, deadline / 3, on));
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
