//! What every operation on a stored session has in common: finding it alive, within its bounds,
//! and noting the activity. The counterpart of `session.lua`.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{
    bounds::Size,
    pointer::{Pointer, Via},
    record::{Record, SessionState},
    reply::utf8,
    rules::{Lifetime, Rules},
};
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table},
    redis::{Command, Reply, Script},
};

/// Where a session is looked for, and by which rules it is alive.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) key: Key,
    pub(crate) via: Via,
    pub(crate) rules: Rules,
    /// What the caller takes the session for, if it has seen it: another one does not count.
    pub(crate) lineage: Option<Arc<str>>,
    /// Whether a touch may be due. One that has just seen the session knows when none is.
    pub(crate) touch: bool,
}

/// Where an operation has found a session, and its answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reached<T> {
    Here(T),
    /// There is a pointer to it.
    Moved(Pointer),
    /// The client has presented this id for the first time, which has to be noted before
    /// anything is changed. The hash of the id before it.
    Unconfirmed(Box<str>),
    /// It would grow over its bounds, and is as it was.
    TooLarge,
    /// It is of another user than the one who logs in.
    Another,
    /// Never there, destroyed, expired, or corrupt.
    Gone,
}

/// A session that is alive.
pub(super) struct Alive<'a> {
    pub(super) record: &'a mut Record,
    /// Until the absolute timeout.
    pub(super) remaining: Duration,
    /// Of the layer.
    layer: Rules,
    touch: bool,
    expires_at: &'a mut Timestamp,
    /// The heaviest record that memory takes.
    largest: usize,
}

impl Access {
    /// The session, if it is there and alive. When the operation reads no clock on Redis, since
    /// no touch is due and the id stays, the timeouts were checked at the load.
    pub(super) fn reach<'a>(
        &'a self,
        sessions: &Table<SessionState>,
        live: &'a mut Option<Live<SessionState>>,
        now: Timestamp,
        renews: bool,
    ) -> Reached<Alive<'a>> {
        let Some(live) = live else {
            return Reached::Gone;
        };
        let record = match &mut live.value {
            SessionState::Live(record) => record,
            SessionState::Moved(pointer) => return Reached::Moved(pointer.clone()),
        };
        if (self.lineage.as_ref()).is_some_and(|lineage| *lineage != record.lineage) {
            return Reached::Gone;
        }
        if let (Via::Presented, Some(previous)) = (self.via, &record.previous) {
            return Reached::Unconfirmed(previous.clone());
        }
        let rules = self.rules.of(record.lifetime);
        let ends = record.created.saturating_add(rules.absolute);
        let remaining = ends.saturating_since(now);
        let idle = now.saturating_since(record.touched);
        let checks = self.touch || renews;
        if checks && (remaining.is_zero() || idle >= rules.idle) {
            return Reached::Gone;
        }
        Reached::Here(Alive {
            touch: self.touch && idle >= rules.touch_every(),
            record,
            remaining,
            layer: self.rules,
            expires_at: &mut live.expires_at,
            largest: sessions.largest(),
        })
    }

    /// The command of `script` on this session and other keys.
    pub(super) fn command<'a>(
        &'a self,
        script: &'static Script,
        others: impl IntoIterator<Item = &'a Key>,
    ) -> Command {
        let keys: SmallVec<[&Key; 4]> = [&self.key].into_iter().chain(others).collect();
        let command = Command::script(script, &keys)
            .arg(self.lineage.as_deref().unwrap_or_default())
            .arg(self.via.mark());
        let command = match self.touch {
            true => command.arg(self.rules.touch_fraction),
            false => command.arg(""),
        };
        command
            .arg(millis(self.rules.idle))
            .arg(millis(self.rules.absolute))
    }

    /// As [`command`](Self::command), of a script that may make the session grow.
    pub(super) fn growing<'a>(
        &'a self,
        script: &'static Script,
        others: impl IntoIterator<Item = &'a Key>,
    ) -> Command {
        self.command(script, others)
            .arg(self.rules.max_bytes)
            .arg(self.rules.max_keys)
    }
}

impl<T> Reached<T> {
    pub(super) fn and_then<U>(self, f: impl FnOnce(T) -> Reached<U>) -> Reached<U> {
        match self {
            Self::Here(answer) => f(answer),
            Self::Moved(pointer) => Reached::Moved(pointer),
            Self::Unconfirmed(previous) => Reached::Unconfirmed(previous),
            Self::TooLarge => Reached::TooLarge,
            Self::Another => Reached::Another,
            Self::Gone => Reached::Gone,
        }
    }
}

impl Alive<'_> {
    /// Notes activity, if a touch is due.
    pub(super) fn touch(&mut self, now: Timestamp) {
        if self.touch {
            self.record.touched = now;
            let rules = self.layer.of(self.record.lifetime);
            *self.expires_at = now.saturating_add(rules.life(self.remaining));
        }
    }

    /// Gives the session another lifetime, and starts it anew where it `restarts`.
    pub(super) fn live_by(&mut self, lifetime: Option<Lifetime>, restarts: bool, now: Timestamp) {
        const LEAST: Duration = Duration::from_millis(1);
        self.record.lifetime = lifetime;
        if restarts {
            self.record.created = now;
        }
        let rules = self.layer.of(lifetime);
        let ends = self.record.created.saturating_add(rules.absolute);
        self.remaining = ends.saturating_since(now).max(LEAST);
        self.touch = true;
    }

    /// Whether the session would grow over its bounds if its data had this size.
    pub(super) fn too_large(&self, size: Size) -> bool {
        let before = self.record.size;
        size.over(before, self.layer.max_bytes, self.layer.max_keys)
            || size.bytes > before.bytes && Record::weight_of(size) > self.largest
    }
}

/// The name of a piece of data in the hash, apart from the metadata's.
pub(super) fn field(name: &str) -> String {
    let mut field = String::with_capacity(2 + name.len());
    field.push_str("d:");
    field.push_str(name);
    field
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A session script's own answer.
pub(super) enum Answer {
    Number(i64),
    Text(bytes::Bytes),
}

/// Reads a session script's reply; `read` its own answer.
pub(super) fn reached<T>(
    reply: Reply,
    read: impl FnOnce(Answer) -> Option<T>,
) -> Result<Reached<T>, StoreError> {
    let answer = match reply.integer_or_other() {
        Ok(0) => return Ok(Reached::Gone),
        Ok(-1) => return Ok(corrupt()),
        Ok(-2) => return Ok(Reached::TooLarge),
        Ok(-3) => return Ok(Reached::Another),
        Ok(number) => Answer::Number(number),
        Err(other) => {
            let text = other.bytes()?;
            if let Some(pointer) = Pointer::read(&text) {
                return Ok(Reached::Moved(pointer));
            }
            match text.split_first() {
                Some((b'?', previous)) => {
                    return Ok(utf8(previous).map_or_else(corrupt, Reached::Unconfirmed));
                }
                _ => Answer::Text(text),
            }
        }
    };
    read(answer)
        .map(Reached::Here)
        .ok_or(StoreError::UnexpectedReply("no answer of a session script"))
}

pub(super) fn corrupt<T>() -> Reached<T> {
    tracing::warn!(target: "tower_keep::session", "a stored session is corrupt and counts as absent");
    #[cfg(feature = "metrics")]
    crate::metrics::session_unreadable("session");
    Reached::Gone
}
