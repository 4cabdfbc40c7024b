//! What is known of a request's session and what the request has changed: no I/O.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    super::{
        config::SessionOnStoreError, error::SessionError, head::CookieChange, id::Place,
        lifetime::SessionLifetime, transport::Issue,
    },
    flash::Flash,
    stored::{LiveSession, Stored, Written},
};
use crate::store::{
    StoreError,
    operations::session::{Changes, Fields, LoadedSession, Prospect, Size, Via},
};

/// The session of one request.
#[derive(Debug)]
pub(super) struct State {
    pub(super) stored: Stored,
    /// What the commit is to write.
    pub(super) changes: Changes,
    /// The handler has asked for a new id.
    pub(super) renew: bool,
    /// The handler has logged this user in. It has asked for a new id with it.
    pub(super) login: Option<Login>,
    /// The lifetime that the handler has chosen; in it `None` for what the layer says. It has asked
    /// for a new id with it.
    pub(super) lifetime: Option<Option<SessionLifetime>>,
    /// The id that the response is to hand out.
    issued: Option<Issue>,
    /// The id of this request leads to a session that it may not use: another user has logged in
    /// over it. What is written is dropped unless somebody logs in: the browser has the cookie of that
    /// session by now, and is to keep it.
    pub(super) overtaken: bool,
    /// The client has sent something for an id, be it one or not.
    is_sent: bool,
    /// The session that the client named was destroyed: its cookie is to go.
    pub(super) destroyed: bool,
    /// A change was refused because it would have made the session too large.
    pub(super) too_large: bool,
    /// Messages that the page of this request has taken, until its response goes out.
    pub(super) taken: Vec<Flash>,
    /// The handler has used the session.
    pub(super) accessed: bool,
    /// The first store call that failed. None is made after it.
    pub(super) failed: Option<StoreError>,
    /// The response has begun, or the request is given up.
    pub(super) closed: bool,
    /// The handler has saved the session and may go on with it after the head of the response.
    pub(super) kept: bool,
}

/// What a session may hold.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Of names and values as they are stored.
    pub(super) max_bytes: usize,
    pub(super) max_keys: usize,
    /// Bytes that a stored value takes more than its JSON.
    pub(super) overhead: usize,
}

/// Who logs in, and with which device.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: Arc<str>,
    pub(super) device: Arc<str>,
}

impl State {
    pub(super) fn new(presented: bool, is_sent: bool) -> Self {
        Self {
            is_sent,
            stored: if presented {
                Stored::Unknown
            } else {
                Stored::Absent
            },
            changes: Changes::default(),
            renew: false,
            login: None,
            lifetime: None,
            issued: None,
            overtaken: false,
            destroyed: false,
            too_large: false,
            taken: Vec::new(),
            accessed: false,
            failed: None,
            closed: false,
            kept: false,
        }
    }

    /// Whether reads can be answered without the store; an error if they cannot be answered.
    pub(super) fn readable(&self, on_error: SessionOnStoreError) -> Result<bool, SessionError> {
        match &self.failed {
            _ if !self.is_unread() => Ok(true),
            Some(_) if on_error == SessionOnStoreError::AnonymousReadOnly => Ok(true),
            Some(error) => Err(SessionError::Unavailable(error.clone())),
            None if self.closed && !self.kept => Err(SessionError::Committed),
            None => Ok(false),
        }
    }

    /// Whether the store has not told what it has of the session.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self.stored, Stored::Unknown | Stored::Written { .. })
    }

    pub(super) fn writable(&self) -> Result<(), SessionError> {
        if self.closed && !self.kept {
            return Err(SessionError::Committed);
        }
        if let Some(error) = &self.failed {
            return Err(SessionError::Unavailable(error.clone()));
        }
        match self.stored {
            Stored::Ended(_) => Err(SessionError::Ended),
            Stored::Absent if self.closed => Err(SessionError::TooLateForCookie),
            _ => Ok(()),
        }
    }

    /// Whether the id may change, which the client has to be told.
    pub(super) fn renewable(&self) -> Result<(), SessionError> {
        self.writable()?;
        match self.closed {
            true => Err(SessionError::TooLateForCookie),
            false => Ok(()),
        }
    }

    pub(super) fn live(&self) -> Option<&LiveSession> {
        match &self.stored {
            Stored::Live(live) => Some(live),
            _ => None,
        }
    }

    /// The stored data, unless the commit is to drop them: what one user has left is not for
    /// the next who logs in.
    fn kept_fields(&self) -> Option<&Fields> {
        let live = self.live()?;
        let other =
            |user: &Arc<str>| (self.login.as_ref()).is_some_and(|login| login.user != *user);
        let drops = self.changes.cleared || live.seen.user.as_ref().is_some_and(other);
        (!drops).then_some(&live.fields)
    }

    /// Whether the value of `key` follows from this request alone, so that the store need not be
    /// asked.
    pub(super) fn is_local(&self, key: &str) -> bool {
        self.changes.cleared
            || self.changes.fields.contains_key(key)
            || match self.stored {
                Stored::Absent => true,
                Stored::Live(_) => self.kept_fields().is_none(),
                Stored::Unknown | Stored::Written { .. } | Stored::Ended(_) => false,
            }
    }

    /// Where the value of `key` is stored as this request sees it; `None` where it is this request's
    /// own.
    pub(super) fn place_of(&self, key: &str) -> Option<&Place> {
        let live = self.live().filter(|_| !self.is_local(key));
        live.map(|live| &live.place)
    }

    /// The value of `key` as this request sees it: as it is stored, or JSON that is to be.
    pub(super) fn value(&self, key: &str) -> Option<Bytes> {
        match self.changes.fields.get(key) {
            Some(changed) => changed.clone(),
            None => self.kept_fields()?.get(key).cloned(),
        }
    }

    /// Sets the value of `key`, as JSON, at the commit, unless it is known already that the session
    /// would grow over its bounds.
    pub(super) fn change(
        &mut self,
        key: &str,
        value: Bytes,
        bounds: &Bounds,
    ) -> Result<(), SessionError> {
        let previous = self.changes.fields.insert(key.into(), Some(value));
        let none = Fields::default();
        let stored = self.kept_fields().unwrap_or(&none);
        let before = Size::of(stored);
        let after = self.size(before, stored, bounds);
        if !after.over(before, bounds.max_bytes, bounds.max_keys) {
            return Ok(());
        }
        match previous {
            Some(previous) => drop(self.changes.fields.insert(key.into(), previous)),
            None => drop(self.changes.fields.remove(key)),
        }
        Err(self.too_large())
    }

    /// An error if it is known already that the session would grow over its bounds when the store
    /// holds this value at once, and the changes of this request later.
    pub(super) fn check(
        &mut self,
        key: &str,
        value: &Bytes,
        bounds: &Bounds,
    ) -> Result<(), SessionError> {
        let none = Fields::default();
        let stored = self.kept_fields().unwrap_or(&none);
        let before = Size::of(stored);
        let changed = before.with(key, stored.get(key), Some(value));
        let after = self.size(changed, stored, bounds);
        if after.over(before, bounds.max_bytes, bounds.max_keys) {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// The size of a session with `fields` once the changes are written to it.
    fn size(&self, before: Size, fields: &Fields, bounds: &Bounds) -> Size {
        let mut size = self.changes.size(before, fields);
        let values = self.changes.fields.values().flatten().count();
        size.bytes += values * bounds.overhead;
        size
    }

    pub(super) fn too_large(&mut self) -> SessionError {
        self.too_large = true;
        SessionError::TooLarge
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
        self.stored = Stored::Live(LiveSession::new(place, session));
    }

    /// Notes that the activity of this request was noted.
    pub(super) fn touched(&mut self) {
        if let Stored::Live(live) = &mut self.stored {
            live.age.untouched = Duration::ZERO;
        }
    }

    /// Notes that the store has no such session. An error if it was there before.
    pub(super) fn gone(&mut self) -> Result<(), SessionError> {
        match &self.stored {
            Stored::Live(LiveSession { seen, .. })
            | Stored::Written {
                seen: Some(seen), ..
            } => {
                self.stored = Stored::Ended(seen.lineage.clone());
                Err(SessionError::Ended)
            }
            Stored::Ended(_) => Err(SessionError::Ended),
            Stored::Unknown | Stored::Written { .. } | Stored::Absent => {
                self.stored = Stored::Absent;
                Ok(())
            }
        }
    }

    /// Starts from nothing: the request has destroyed the session.
    pub(super) fn destroyed(&mut self) {
        self.stored = Stored::Absent;
        self.changes = Changes::default();
        self.renew = false;
        self.login = None;
        self.lifetime = None;
        self.issued = None;
        self.overtaken = false;
        self.taken.clear();
        self.destroyed = self.is_sent;
    }

    /// Whether the commit has anything to do for the handler.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty() || self.renew
    }

    /// Puts back changes that could not be written. Later ones of the same keys stay.
    pub(super) fn put_back(&mut self, changes: Changes) {
        if self.changes.cleared {
            return;
        }
        let later = std::mem::replace(&mut self.changes, changes);
        self.changes.fields.extend(later.fields);
    }

    /// Notes what a commit has done. `chosen` is what the handler has chosen for the lifetime.
    pub(super) fn written(&mut self, written: Written, chosen: Option<Prospect>) {
        match written {
            Written::Here(place, seen) => {
                if let (Some(issued), Some(chosen)) = (&mut self.issued, chosen) {
                    issued.remaining = chosen.remaining;
                    issued.persistent = chosen.persistent;
                }
                if seen.is_some() {
                    self.stored = Stored::Written { place, seen };
                }
            }
            Written::NewId(issue, seen) => {
                let mut place = issue.id.place();
                // That the client has got it is noted when the client presents it.
                place.via = Via::Old;
                self.stored = Stored::Written { place, seen };
                self.issued = Some(issue);
            }
            Written::Dropped(lineage) => self.stored = Stored::Ended(lineage),
            Written::Nothing => {}
        }
    }

    /// Lets the next read ask the store.
    pub(super) fn read_anew(&mut self) {
        if let Stored::Live(LiveSession { place, seen, .. }) = &self.stored {
            self.stored = Stored::Written {
                place: place.clone(),
                seen: Some(seen.clone()),
            };
        }
    }

    /// What the client is to do with its cookie.
    pub(super) fn take_cookie(&mut self) -> CookieChange {
        match self.issued.take() {
            Some(issue) => CookieChange::Issue(issue),
            None if self.destroyed => CookieChange::Remove,
            None => CookieChange::Keep,
        }
    }

    /// Takes the changes that differ from what was loaded.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        if !changes.cleared
            && let Some(fields) = self.kept_fields()
        {
            (changes.fields).retain(|key, value| fields.get(key) != value.as_ref());
        }
        changes
    }
}
