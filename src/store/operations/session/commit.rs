//! Committing what a request has changed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    access::{Access, Reached},
    record::{Record, SessionState},
};
#[cfg(feature = "redis")]
use super::{
    access::{field, reached},
    session_script,
};
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Live, Memory, exact, replace},
    namespace::Key,
    operation::Operation,
};
#[cfg(feature = "redis")]
use crate::store::{
    clock::micros,
    redis::{Command, NextReply, Reply, Script},
};

#[cfg(feature = "redis")]
pub(crate) static COMMIT: Script = session_script!("commit");

/// Applies changes to a session that still exists and, when asked, moves it to a new id, all
/// in one step. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct CommitSession {
    pub(crate) access: Access,
    pub(crate) changes: Arc<Changes>,
    pub(crate) renewal: Option<Renewal>,
}

/// What a request has changed; what it has not is not written.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes {
    /// All data go before `fields` is applied.
    pub(crate) cleared: bool,
    /// New values; `None` removes.
    pub(crate) fields: BTreeMap<Box<str>, Option<Bytes>>,
}

/// A new id, with the same slot tag as the old one.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    pub(crate) key: Key,
    pub(crate) id_hash: Box<str>,
    /// For how long the old id leads to the new one.
    pub(crate) grace: Duration,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        !self.cleared && self.fields.is_empty()
    }

    fn apply(&self, record: &mut Record) {
        let stored = Arc::make_mut(&mut record.fields);
        if self.cleared {
            stored.clear();
        }
        for (name, value) in &self.fields {
            match value {
                Some(value) => stored.insert(name.clone(), exact(value)),
                None => stored.remove(name),
            };
        }
    }
}

impl Operation for CommitSession {
    /// The time until the absolute timeout.
    type Output = Reached<Duration>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let apply = |live: &mut Option<Live<SessionState>>| {
            self.access.with(live, now, |mut session| {
                self.changes.apply(session.record);
                if self.renewal.is_some() {
                    session.record.issued = now;
                }
                session.touch(&self.access.timeouts, now);
                session.remaining
            })
        };
        let (sessions, key) = (&memory.sessions, &self.access.key);
        let Some(renewal) = &self.renewal else {
            return sessions.update(key, now, apply);
        };
        sessions.update_pair(key, &renewal.key, now, |old, new| {
            let outcome = apply(old);
            if let Reached::Here(remaining) = outcome {
                *new = old.take();
                let pointer = SessionState::Moved(renewal.id_hash.clone());
                replace(old, pointer, now, renewal.grace.min(remaining));
            }
            outcome
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let new_key = self.renewal.as_ref().map(|renewal| &renewal.key);
        let (grace, id_hash) = (self.renewal.as_ref())
            .map_or((0, ""), |renewal| (micros(renewal.grace), &renewal.id_hash));
        let changes = &self.changes;
        let sets = || {
            (changes.fields.iter()).filter_map(|(name, value)| value.as_ref().map(|v| (name, v)))
        };
        let removes = changes.fields.iter().filter(|(_, value)| value.is_none());
        let mut command = self
            .access
            .command(&COMMIT, new_key)
            .arg(u8::from(changes.cleared))
            .arg(grace)
            .arg(id_hash)
            .arg(sets().count());
        for (name, value) in sets() {
            command = command.arg(field(name)).arg(&**value);
        }
        removes.fold(command, |command, (name, _)| command.arg(field(name)))
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |reply| {
            Ok(Duration::from_micros(reply.next_unsigned()?))
        })
    }
}
