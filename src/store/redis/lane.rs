//! Lanes: the few connections that all calls share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    command::Commands,
    connection::Connection,
    queue::{Pending, Queue},
    refusals::Refusals,
};

/// A shared connection. redis-rs' `MultiplexedConnection` never heals itself and cannot be asked whether
/// it is closed, so calls report what they see of it.
#[derive(Debug, Clone)]
pub(super) struct Link(Arc<Shared>);

/// What the clones of a link share.
#[derive(Debug)]
struct Shared {
    connection: Connection,
    queue: Queue,
    /// Microseconds from the lanes' birth to the last reply.
    last_reply: AtomicU64,
    /// It was asked for a sign of life and has given none so far.
    suspected: AtomicBool,
}

impl Link {
    pub(super) fn send(&self, commands: Commands) -> Pending {
        self.0.queue.send(commands)
    }

    /// For what is asked about the server itself.
    pub(super) fn connection(&self) -> Connection {
        self.0.connection.clone()
    }

    /// Lets calls prefer other lanes until this one is answered.
    pub(super) fn suspect(&self) {
        self.0.suspected.store(true, Ordering::Relaxed);
    }
}

/// The links in use.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    next: AtomicUsize,
    born: Instant,
    /// How many connections there have been.
    epoch: AtomicU64,
    /// What is refused on any of them.
    refusals: Arc<Refusals>,
}

/// A place for a link, empty while there is no connection.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<Option<Link>>);

impl Lanes {
    pub(super) fn new(count: usize, refusals: Arc<Refusals>) -> Self {
        let lanes = (0..count.max(1)).map(|_| Lane::default()).collect();
        Self {
            lanes,
            next: AtomicUsize::new(0),
            born: Instant::now(),
            epoch: AtomicU64::new(0),
            refusals,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// The link of the next lane in turn that has one, and one that is answered if there is any.
    pub(super) fn next(&self) -> Option<Link> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let from = turn % self.lanes.len();
        let (before, after) = self.lanes.split_at(from);
        let links = || after.iter().chain(before).filter_map(Lane::get);
        let answered = |link: &Link| !link.0.suspected.load(Ordering::Relaxed);
        links().find(answered).or_else(|| links().next())
    }

    pub(super) fn replied(&self, link: &Link) {
        link.0.last_reply.store(self.age(), Ordering::Relaxed);
        // Looked at first: a write would take the cache line from the other threads.
        if link.0.suspected.load(Ordering::Relaxed) {
            link.0.suspected.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn replied_within(&self, link: &Link, duration: Duration) -> bool {
        let last = link.0.last_reply.load(Ordering::Relaxed);
        u128::from(self.age().saturating_sub(last)) < duration.as_micros()
    }

    /// Whether any link was answered within the last `duration`.
    pub(super) fn any_replied_within(&self, duration: Duration) -> bool {
        let mut links = self.lanes.iter().filter_map(Lane::get);
        links.any(|link| self.replied_within(&link, duration))
    }

    pub(super) fn all_replied_within(&self, duration: Duration) -> bool {
        let mut links = self.lanes.iter().map(Lane::get);
        links.all(|link| link.is_some_and(|link| self.replied_within(&link, duration)))
    }

    /// Whether any link was answered after the lanes had reached this [`age`](Self::age).
    pub(super) fn any_replied_since(&self, age: u64) -> bool {
        let mut links = self.lanes.iter().filter_map(Lane::get);
        links.any(|link| link.0.last_reply.load(Ordering::Relaxed) > age)
    }

    /// Puts a connection that has just answered in the place of the link that has been silent
    /// for longest, if there is one that was not answered since `age`.
    pub(super) fn replace_silent(&self, age: u64, connection: Connection) -> bool {
        let last_reply = |link: &Link| link.0.last_reply.load(Ordering::Relaxed);
        let silent = (self.lanes.iter())
            .filter_map(|lane| Some((last_reply(&lane.get()?), lane)))
            .filter(|(last_reply, _)| *last_reply <= age)
            .min_by_key(|(last_reply, _)| *last_reply);
        if let Some((_, lane)) = silent {
            self.set(lane, connection);
        }
        silent.is_some()
    }

    /// Takes `link` out of use. `false` when it had been replaced already: a late word on an
    /// old connection says nothing about the new one.
    pub(super) fn lose(&self, link: &Link) -> bool {
        self.lanes.iter().any(|lane| lane.lose(link))
    }

    /// Puts a connection that has just answered into `lane`.
    pub(super) fn set(&self, lane: &Lane, connection: Connection) {
        // First: whoever is answered on the new connection finds the epoch changed.
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let queue = Queue::new(connection.clone(), self.refusals.clone());
        *lane.lock() = Some(Link(Arc::new(Shared {
            connection,
            queue,
            last_reply: AtomicU64::new(self.age()),
            suspected: AtomicBool::new(false),
        })));
    }

    /// Microseconds since they were made.
    pub(super) fn age(&self) -> u64 {
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
        let held = |held: &mut Link| Arc::ptr_eq(&held.0, &link.0);
        self.lock().take_if(held).is_some()
    }
}
