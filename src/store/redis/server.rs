//! One server: the lanes that lead to it and what is known of its health.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    breaker::Breaker, claim::Claim, connection::Shard, identity::LastSeen, lane::Lanes,
    refusals::Refusals, replica::Replica, script::Scripts, source::Source,
};
use crate::store::{error::RefusalKind, state::StoreState};

/// A Redis server, the lanes that lead to it and what is known of its health.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(super) source: Source,
    pub(super) scripts: Scripts,
    pub(super) lanes: Lanes,
    pub(super) breaker: Breaker,
    pub(super) refusals: Arc<Refusals>,
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
        let refusals = Arc::new(Refusals::new(source.is_redirected()));
        Arc::new(Self {
            source,
            scripts,
            lanes: Lanes::new(lanes, refusals.clone()),
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

    pub(super) fn note(&self, deadline: Duration) {
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
}
