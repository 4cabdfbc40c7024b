//! What every operation on a stored session has in common: finding it alive, and noting the
//! activity. The counterpart of `session.lua`.

use std::{sync::Arc, time::Duration};

use super::record::{Record, SessionState};
use crate::store::{clock::Timestamp, memory::Live, namespace::Key};
#[cfg(feature = "redis")]
use crate::store::{
    clock::micros,
    error::StoreError,
    redis::{Command, NextReply, Reply, Script},
};

/// When a session ends, by the store's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// After the last activity that was noted.
    pub(crate) idle: Duration,
    /// After its creation, whatever happens.
    pub(crate) absolute: Duration,
    /// Activity is noted at most once in this time.
    pub(crate) touch_every: Duration,
}

/// Where a session is looked for, and by which rules it is alive.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) key: Key,
    pub(crate) timeouts: Timeouts,
    /// What the caller takes the session for, if it has seen it: another one does not count.
    pub(crate) lineage: Option<Arc<str>>,
}

/// Where an operation has found a session, and its answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reached<T> {
    Here(T),
    /// Its id was renewed: the hash of the new one.
    Moved(Box<str>),
    /// Never there, destroyed, expired, or corrupt.
    Gone,
}

/// A session that is alive.
pub(super) struct Alive<'a> {
    pub(super) record: &'a mut Record,
    pub(super) remaining: Duration,
    expires_at: &'a mut Timestamp,
}

impl Access {
    pub(super) fn reach<'a>(
        &self,
        live: &'a mut Option<Live<SessionState>>,
        now: Timestamp,
    ) -> Reached<Alive<'a>> {
        let Some(live) = live else {
            return Reached::Gone;
        };
        let record = match &mut live.value {
            SessionState::Live(record) => record,
            SessionState::Moved(id_hash) => return Reached::Moved(id_hash.clone()),
        };
        let ends = record.created.saturating_add(self.timeouts.absolute);
        let remaining = ends.saturating_since(now);
        let idle = now.saturating_since(record.touched);
        let other = (self.lineage.as_ref()).is_some_and(|lineage| *lineage != record.lineage);
        if other || remaining.is_zero() || idle >= self.timeouts.idle {
            return Reached::Gone;
        }
        Reached::Here(Alive {
            record,
            remaining,
            expires_at: &mut live.expires_at,
        })
    }

    /// As [`reach`](Self::reach), with `f` for the session that is there.
    pub(super) fn with<T>(
        &self,
        live: &mut Option<Live<SessionState>>,
        now: Timestamp,
        f: impl FnOnce(Alive<'_>) -> T,
    ) -> Reached<T> {
        match self.reach(live, now) {
            Reached::Here(alive) => Reached::Here(f(alive)),
            Reached::Moved(id_hash) => Reached::Moved(id_hash),
            Reached::Gone => Reached::Gone,
        }
    }

    /// The command of `script` on this session and, for a renewal, its `new_key`.
    #[cfg(feature = "redis")]
    pub(super) fn command(&self, script: &'static Script, new_key: Option<&Key>) -> Command {
        let command = match new_key {
            Some(new_key) => Command::script(script, &[&self.key, new_key]),
            None => Command::script(script, &[&self.key]),
        };
        command
            .arg(micros(self.timeouts.idle))
            .arg(micros(self.timeouts.absolute))
            .arg(micros(self.timeouts.touch_every))
            .arg(self.lineage.as_deref().unwrap_or_default())
    }
}

impl Alive<'_> {
    /// Notes activity, but not more often than `touch_every`.
    pub(super) fn touch(&mut self, timeouts: &Timeouts, now: Timestamp) {
        if now.saturating_since(self.record.touched) >= timeouts.touch_every {
            self.record.touched = now;
            *self.expires_at = now.saturating_add(timeouts.idle.min(self.remaining));
        }
    }
}

/// The name of a piece of data in the hash, apart from the metadata's.
#[cfg(feature = "redis")]
pub(super) fn field(name: &str) -> String {
    format!("d:{name}")
}

/// Reads a session script's reply; `read` its answer.
#[cfg(feature = "redis")]
pub(super) fn reached<T>(
    reply: Reply,
    read: impl FnOnce(&mut std::vec::IntoIter<Reply>) -> Result<T, StoreError>,
) -> Result<Reached<T>, StoreError> {
    let mut reply = reply.array()?;
    match reply.next_integer()? {
        0 => Ok(Reached::Gone),
        1 => Ok(text(reply.next_reply()?)?.map_or(Reached::Gone, Reached::Moved)),
        2 => read(&mut reply).map(Reached::Here),
        3 => {
            tracing::warn!(target: "tower_keep::session", "a stored session is corrupt and counts as absent");
            Ok(Reached::Gone)
        }
        _ => Err(StoreError::UnexpectedReply("no session reply")),
    }
}

/// `None` for what is not UTF-8, which this crate never writes.
#[cfg(feature = "redis")]
pub(super) fn text(reply: Reply) -> Result<Option<Box<str>>, StoreError> {
    Ok(std::str::from_utf8(&reply.bytes()?).ok().map(Box::from))
}
