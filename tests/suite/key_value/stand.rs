//! A store with users in it, and a loader that a test holds in its hands.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tower_keep::{
    Store,
    key_value::{KeyValue, LoadError, USER_DATA_TTL},
};

use crate::harness::{connected::PATIENT, redis::Backend};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
}

pub(super) fn user(name: &str) -> User {
    User { name: name.into() }
}

/// What a loader of the tests fails with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("there is no such user")]
pub(super) struct NoSuchUser;

pub(super) type Loaded = Result<User, LoadError<NoSuchUser>>;

pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) users: KeyValue,
    pub(super) server: Option<Backend>,
}

impl Stand {
    pub(super) fn memory() -> Self {
        Self::new(Store::memory(), None)
    }

    /// A Redis of its own, to which the store is connected.
    pub(super) async fn redis() -> Self {
        Self::on(Backend::redis()).await
    }

    /// A store that is connected to this.
    pub(super) async fn on(server: Backend) -> Self {
        let store = server.connected(PATIENT).await;
        Self::new(store, Some(server))
    }

    fn new(store: Store, server: Option<Backend>) -> Self {
        Self {
            users: users(&store),
            store,
            server,
        }
    }

    /// The same values as another process sees them: it shares the store and nothing else.
    pub(super) fn elsewhere(&self) -> KeyValue {
        users(&self.store)
    }

    pub(super) fn server(&mut self) -> &mut Backend {
        self.server.as_mut().expect("the stand is one on Redis")
    }

    pub(super) fn is_redis(&self) -> bool {
        self.server.is_some()
    }

    /// The same values with the default deadline.
    pub(super) async fn impatient(&mut self) -> KeyValue {
        users(&self.server().connected(Store::DEFAULT_DEADLINE).await)
    }

    pub(super) async fn get(&self, id: &str) -> Option<User> {
        self.users.get(id).await.unwrap()
    }
}

fn users(store: &Store) -> KeyValue {
    KeyValue::new(store.clone(), "user").unwrap()
}

/// A loader whose calls are counted and wait until the test lets them go on.
#[derive(Clone)]
pub(super) struct Database {
    name: &'static str,
    begun: Arc<Semaphore>,
    gate: Arc<Semaphore>,
    calls: Arc<AtomicUsize>,
}

impl Database {
    /// One that answers at once.
    pub(super) fn open(name: &'static str) -> Self {
        let database = Self::closed(name);
        database.let_go_on();
        database
    }

    /// One whose calls wait for [`let_go_on`](Self::let_go_on).
    pub(super) fn closed(name: &'static str) -> Self {
        Self {
            name,
            begun: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(0)),
            calls: Arc::default(),
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether no loader holds it: all have ended or been dropped.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.calls) == 1
    }

    /// Lets all calls go on, those to come too.
    pub(super) fn let_go_on(&self) {
        self.gate.close();
    }

    /// Waits until a call has begun for which nobody has waited yet.
    pub(super) async fn has_begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    pub(super) async fn query(&self) -> Result<User, NoSuchUser> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        assert!(self.gate.acquire().await.is_err(), "the gate only closes");
        Ok(user(self.name))
    }

    /// The user of `id` out of the cache, or from here.
    pub(super) async fn through(&self, users: &KeyValue, id: &str) -> Loaded {
        let database = self.clone();
        let query = || async move { database.query().await };
        users.get_or_load(id, USER_DATA_TTL, query).await
    }

    /// As [`through`](Self::through), in a task of its own.
    pub(super) fn spawn_through(
        &self,
        users: &KeyValue,
        id: &'static str,
    ) -> tokio::task::JoinHandle<Loaded> {
        let (database, users) = (self.clone(), users.clone());
        tokio::spawn(async move { database.through(&users, id).await })
    }
}
