//! What is known of a request's session and what the request has changed: no I/O.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{SessionError, StoreFailure, id::Place};
use crate::store::{
    StoreError,
    operations::session::{Changes, Fields, LoadedSession},
};

/// The session of one request.
#[derive(Debug)]
pub(super) struct State {
    pub(super) stored: Stored,
    /// What the commit is to write.
    pub(super) changes: Changes,
    /// The handler has asked for a new id.
    pub(super) renew: bool,
    /// The session that the client named was destroyed: its cookie is to go.
    pub(super) destroyed: bool,
    /// The handler has used the session.
    pub(super) accessed: bool,
    /// The first store call that failed. None is made after it.
    pub(super) failed: Option<StoreError>,
    /// The response has begun, or the request is given up.
    pub(super) closed: bool,
}

/// What is known of the stored session.
#[derive(Debug)]
pub(super) enum Stored {
    /// The client has sent an id and the store was not asked about it.
    Unknown,
    /// There is none: no id, an unknown one, or the session was destroyed by this request.
    Absent,
    Live(LiveSession),
    /// It was there when it was loaded, and then no more. Its lineage.
    Ended(Arc<str>),
}

/// Where the session stands as far as is known, and what it was when it was loaded.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) lineage: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) place: Place,
    pub(super) lineage: Arc<str>,
    pub(super) id_age: Duration,
    /// As of the load, and with this request's own immediate changes.
    pub(super) fields: Fields,
}

impl State {
    pub(super) fn new(presented: bool) -> Self {
        Self {
            stored: if presented {
                Stored::Unknown
            } else {
                Stored::Absent
            },
            changes: Changes::default(),
            renew: false,
            destroyed: false,
            accessed: false,
            failed: None,
            closed: false,
        }
    }

    /// Whether reads can be answered without the store; an error if they cannot be answered.
    pub(super) fn readable(&self, on_error: StoreFailure) -> Result<bool, SessionError> {
        match (&self.stored, &self.failed) {
            (Stored::Unknown, Some(_)) if on_error == StoreFailure::AnonymousReadOnly => Ok(true),
            (Stored::Unknown, Some(error)) => Err(SessionError::Unavailable(error.clone())),
            (Stored::Unknown, None) if self.closed => Err(SessionError::Committed),
            (Stored::Unknown, None) => Ok(false),
            _ => Ok(true),
        }
    }

    pub(super) fn writable(&self) -> Result<(), SessionError> {
        if self.closed {
            return Err(SessionError::Committed);
        }
        if let Some(error) = &self.failed {
            return Err(SessionError::Unavailable(error.clone()));
        }
        if matches!(self.stored, Stored::Ended(_)) {
            return Err(SessionError::Ended);
        }
        Ok(())
    }

    pub(super) fn live(&self) -> Option<&LiveSession> {
        match &self.stored {
            Stored::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether this request alone decides on the value of `key` until the commit.
    pub(super) fn is_local(&self, key: &str) -> bool {
        matches!(self.stored, Stored::Absent)
            || self.changes.cleared
            || self.changes.fields.contains_key(key)
    }

    /// The value of `key` as this request sees it.
    pub(super) fn value(&self, key: &str) -> Option<Bytes> {
        if let Some(changed) = self.changes.fields.get(key) {
            return changed.clone();
        }
        if self.changes.cleared {
            return None;
        }
        self.live()?.fields.get(key).cloned()
    }

    pub(super) fn change(&mut self, key: &str, value: Option<Bytes>) {
        self.changes.fields.insert(key.into(), value);
    }

    /// Notes a value that the store holds now.
    pub(super) fn learn(&mut self, key: &str, value: Option<Bytes>) {
        if let Stored::Live(live) = &mut self.stored {
            let fields = Arc::make_mut(&mut live.fields);
            match value {
                Some(value) => fields.insert(key.into(), value),
                None => fields.remove(key),
            };
        }
    }

    pub(super) fn loaded(&mut self, place: Place, session: LoadedSession) {
        self.stored = Stored::Live(LiveSession {
            place,
            lineage: session.lineage,
            id_age: session.id_age,
            fields: session.fields,
        });
    }

    /// Notes that the store has no such session. An error if it was there before.
    pub(super) fn gone(&mut self) -> Result<(), SessionError> {
        match &self.stored {
            Stored::Live(LiveSession { lineage, .. }) | Stored::Ended(lineage) => {
                self.stored = Stored::Ended(lineage.clone());
                Err(SessionError::Ended)
            }
            Stored::Unknown | Stored::Absent => {
                self.stored = Stored::Absent;
                Ok(())
            }
        }
    }

    /// Starts from nothing: the request has destroyed the session, which the client had
    /// `presented` or not.
    pub(super) fn destroyed(&mut self, presented: bool) {
        self.stored = Stored::Absent;
        self.changes = Changes::default();
        self.renew = false;
        self.destroyed = presented;
    }

    /// Takes the changes that differ from what was loaded.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        if let Stored::Live(live) = &self.stored
            && !changes.cleared
        {
            (changes.fields).retain(|key, value| live.fields.get(key) != value.as_ref());
        }
        changes
    }
}
