//! Servers that the tests of a process use one after the other: starting a cluster for each of
//! them would take most of the time.

use std::{
    ops::Deref,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Certificates, RedisCluster, RedisConfig, RedisSentinel, RedisServer, leash::Leash,
    rights::readme_rights,
};

/// How many of a kind are started at most; further tests wait for one.
const AT_MOST: usize = 3;

/// A kind of server, or of servers that belong together.
pub(crate) trait Shared: Sized + Send + 'static {
    fn start_shared() -> Self;
    /// Every process of it.
    fn servers(&self) -> Vec<&RedisServer>;
    /// Those that take writes.
    fn data(&self) -> Vec<&RedisServer>;
    /// Where those are kept that no test uses at the moment.
    fn shelf() -> &'static Shelf<Self>;
}

/// All of a kind.
pub(crate) struct Shelf<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    idle: Vec<Leashed<T>>,
    started: usize,
}

/// The leash is the first to be dropped: then the servers end as those of one test do.
struct Leashed<T> {
    _leash: Leash,
    servers: T,
}

impl<T> Shelf<T> {
    const fn new() -> Self {
        let state = State {
            idle: Vec::new(),
            started: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a kind, empty, for one test alone until it is dropped.
///
/// A test that fails takes it along: nobody knows what it was left with.
pub(crate) struct Lease<T: Shared>(Option<Leashed<T>>);

impl<T: Shared> Lease<T> {
    /// Waits for one, or starts it.
    pub(crate) fn take() -> Self {
        let shelf = T::shelf();
        let mut state = shelf.state();
        let found = loop {
            if let Some(idle) = state.idle.pop() {
                break Some(idle);
            }
            if state.started < AT_MOST {
                state.started += 1;
                break None;
            }
            state = shelf
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        // From here on a panic, of the start too, gives the place back.
        let mut lease = Self(found);
        let leashed = lease.0.get_or_insert_with(|| {
            let servers = T::start_shared();
            Leashed {
                _leash: Leash::on(servers.servers()),
                servers,
            }
        });
        for master in leashed.servers.data() {
            master.forget_everything();
        }
        lease
    }
}

impl<T: Shared> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.as_ref().expect("it is held until the drop").servers
    }
}

impl<T: Shared> Drop for Lease<T> {
    fn drop(&mut self) {
        let held = self.0.take().filter(|_| !std::thread::panicking());
        let shelf = T::shelf();
        let mut state = shelf.state();
        match held {
            Some(held) => state.idle.push(held),
            None => state.started -= 1,
        }
        drop(state);
        shelf.changed.notify_one();
    }
}

impl Shared for RedisCluster {
    fn start_shared() -> Self {
        let cluster = Self::start();
        cluster.be_patient();
        cluster
    }

    fn servers(&self) -> Vec<&RedisServer> {
        self.nodes().iter().collect()
    }

    fn data(&self) -> Vec<&RedisServer> {
        self.first_masters().iter().collect()
    }

    fn shelf() -> &'static Shelf<Self> {
        static SHELF: Shelf<RedisCluster> = Shelf::new();
        &SHELF
    }
}

impl Shared for RedisSentinel {
    fn start_shared() -> Self {
        let group = Self::start();
        group.be_patient();
        group
    }

    fn servers(&self) -> Vec<&RedisServer> {
        self.processes().collect()
    }

    fn data(&self) -> Vec<&RedisServer> {
        vec![&self.servers()[0]]
    }

    fn shelf() -> &'static Shelf<Self> {
        static SHELF: Shelf<RedisSentinel> = Shelf::new();
        &SHELF
    }
}

/// One server that speaks TLS to a user who may do what the README says, and no more.
impl Shared for RedisServer {
    fn start_shared() -> Self {
        RedisConfig::default()
            .acl_user("keep", "p@ss/word", &readme_rights("keep"))
            .tls(Certificates::generate())
            .start()
    }

    fn servers(&self) -> Vec<&RedisServer> {
        vec![self]
    }

    fn data(&self) -> Vec<&RedisServer> {
        vec![self]
    }

    fn shelf() -> &'static Shelf<Self> {
        static SHELF: Shelf<RedisServer> = Shelf::new();
        &SHELF
    }
}
