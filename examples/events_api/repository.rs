//! What would be a database: users and events in memory, with its latency and a count of reads.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub id: u64,
    pub title: String,
}

/// How often users and events were read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Reads {
    pub users: u64,
    pub events: u64,
}

/// There is no such thing.
#[derive(Debug, Clone, Copy)]
pub struct NotFound(pub &'static str);

const PAGE: usize = 10;

#[derive(Debug)]
pub struct Repository {
    latency: Duration,
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    users: HashMap<String, User>,
    /// By id, from 1 on.
    events: Vec<Event>,
    reads: Reads,
}

impl Repository {
    /// A hundred users and events with the ids 1 to 100.
    pub fn seeded(latency: Duration) -> Self {
        let user = |id: u64| User {
            id: id.to_string(),
            name: format!("User {id}"),
        };
        let event = |id| Event {
            id,
            title: format!("Event {id}"),
        };
        let users = (1..=100).map(user).map(|user| (user.id.clone(), user));
        let tables = Tables {
            users: users.collect(),
            events: (1..=100).map(event).collect(),
            reads: Reads::default(),
        };
        Self {
            latency,
            tables: Mutex::new(tables),
        }
    }

    pub fn reads(&self) -> Reads {
        self.lock().reads
    }

    pub async fn user(&self, id: &str) -> Result<User, NotFound> {
        let mut tables = self.access().await;
        tables.reads.users += 1;
        tables.users.get(id).cloned().ok_or(NotFound("user"))
    }

    pub async fn write_user(&self, user: User) -> User {
        let mut tables = self.access().await;
        tables.users.insert(user.id.clone(), user.clone());
        user
    }

    pub async fn remove_user(&self, id: &str) -> Result<User, NotFound> {
        let mut tables = self.access().await;
        tables.users.remove(id).ok_or(NotFound("user"))
    }

    /// A page of the events, the newest first.
    pub async fn events(&self, page: NonZeroUsize) -> Vec<Event> {
        let mut tables = self.access().await;
        tables.reads.events += 1;
        let before = PAGE.saturating_mul(page.get() - 1);
        let newest_first = tables.events.iter().rev();
        newest_first.skip(before).take(PAGE).cloned().collect()
    }

    pub async fn event(&self, id: u64) -> Result<Event, NotFound> {
        let mut tables = self.access().await;
        tables.reads.events += 1;
        let found = tables.events.iter().find(|event| event.id == id);
        found.cloned().ok_or(NotFound("event"))
    }

    pub async fn create_event(&self, title: String) -> Event {
        let mut tables = self.access().await;
        let id = tables.events.len() as u64 + 1;
        tables.events.push(Event { id, title });
        tables.events[tables.events.len() - 1].clone()
    }

    /// Every access takes its time.
    async fn access(&self) -> MutexGuard<'_, Tables> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Nothing panics while it is held.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
