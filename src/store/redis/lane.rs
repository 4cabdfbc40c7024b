//! Lanes: the few connections that all calls share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_redis::redis::aio::MultiplexedConnection;
use tokio::time::Instant;

/// A shared connection. `MultiplexedConnection` never heals itself and cannot be asked whether
/// it is closed, so calls report what they see of it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    /// Microseconds from the lanes' birth to the last reply. The clones of a link share it,
    /// and it tells one link from the next.
    last_reply: Arc<AtomicU64>,
}

/// The links in use.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    next: AtomicUsize,
    born: Instant,
    /// How many connections there have been.
    epoch: AtomicU64,
}

/// A place for a link, empty while there is no connection.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<Option<Link>>);

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        let lanes = (0..count.max(1)).map(|_| Lane::default()).collect();
        Self {
            lanes,
            next: AtomicUsize::new(0),
            born: Instant::now(),
            epoch: AtomicU64::new(0),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// The link of the next lane in turn that has one.
    pub(super) fn next(&self) -> Option<Link> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let from = turn % self.lanes.len();
        let (before, after) = self.lanes.split_at(from);
        after.iter().chain(before).find_map(Lane::get)
    }

    pub(super) fn replied(&self, link: &Link) {
        link.last_reply.store(self.age(), Ordering::Relaxed);
    }

    pub(super) fn replied_within(&self, link: &Link, duration: Duration) -> bool {
        let last = link.last_reply.load(Ordering::Relaxed);
        u128::from(self.age().saturating_sub(last)) < duration.as_micros()
    }

    /// Whether any link was answered within the last `duration`.
    pub(super) fn any_replied_within(&self, duration: Duration) -> bool {
        let mut links = self.lanes.iter().filter_map(Lane::get);
        links.any(|link| self.replied_within(&link, duration))
    }

    /// Takes `link` out of use. `false` when it had been replaced already: a late word on an
    /// old connection says nothing about the new one.
    pub(super) fn lose(&self, link: &Link) -> bool {
        self.lanes.iter().any(|lane| lane.lose(link))
    }

    /// Puts a connection that has just answered into `lane`.
    pub(super) fn set(&self, lane: &Lane, connection: MultiplexedConnection) {
        // First: whoever is answered on the new connection finds the epoch changed.
        self.epoch.fetch_add(1, Ordering::AcqRel);
        *lane.lock() = Some(Link {
            connection,
            last_reply: Arc::new(AtomicU64::new(self.age())),
        });
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Option<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Option<Link> {
        self.lock().clone()
    }

    fn lose(&self, link: &Link) -> bool {
        let held = |held: &mut Link| Arc::ptr_eq(&held.last_reply, &link.last_reply);
        self.lock().take_if(held).is_some()
    }
}
