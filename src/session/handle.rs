//! The handle that a handler works with.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    SessionError,
    config::Config,
    cookie::CookieSettings,
    id::{LogId, SessionId},
    state::State,
};
use crate::{
    Store,
    store::operations::session::{Changes, Rules},
};

/// The session of a request, out of its extensions or (feature `axum`) as an extractor.
///
/// Nothing is asked of the store before a method needs it, and one load serves the whole
/// request, however many tasks wait for it. Values are JSON, each stored on its own.
///
/// [`insert`](Self::insert), [`remove`](Self::remove), [`clear`](Self::clear),
/// [`login`](Self::login) and [`renew`](Self::renew) are remembered and committed together, atomically, before the
/// response begins, and dropped when it is a 5xx. [`increment`](Self::increment),
/// [`update`](Self::update) and [`destroy`](Self::destroy) act on a stored session at once, so
/// that concurrent requests see them, and stay whatever the response is.
///
/// A session holds 64 KiB and 128 keys unless the layer says otherwise, names and values as JSON
/// counted. A change over that is [`SessionError::TooLarge`], at the call where it can be known
/// there. If only the commit finds out, the response becomes a 413 and nothing is committed.
///
/// Clones are the same session.
#[derive(Clone)]
pub struct Session(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) config: Arc<Config>,
    pub(super) presented: Option<SessionId>,
    outer: Option<Session>,
    state: Mutex<State>,
    /// Held by the one call of this request that talks to the store.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Session {
    pub(super) fn new(
        store: &Store,
        config: &Arc<Config>,
        presented: Option<SessionId>,
        outer: Option<Self>,
    ) -> Self {
        Self(Arc::new(Shared {
            store: store.clone(),
            config: config.clone(),
            state: Mutex::new(State::new(presented.is_some())),
            presented,
            outer,
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// The value of `key`. One round trip if nothing was loaded yet.
    ///
    /// A value that does not read as a `T`, an older version's perhaps, counts as absent, with
    /// an event at level `warn`.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]; [`SessionError::Committed`] for a first look after the
    /// response has begun.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SessionError> {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let value = self.state().value(key);
        Ok(value.and_then(|value| self.decode(key, &value)))
    }

    /// Sets the value of `key` at the commit.
    ///
    /// # Errors
    ///
    /// [`SessionError::Serialize`], [`SessionError::TooLarge`], [`SessionError::Committed`],
    /// [`SessionError::Ended`], and [`SessionError::Unavailable`] after the store has failed this
    /// request.
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), SessionError> {
        let value = encode(key, value)?;
        let mut state = self.used();
        state.writable()?;
        state.change(key, value, &self.rules())
    }

    /// Removes `key` at the commit.
    ///
    /// # Errors
    ///
    /// As of [`insert`](Self::insert).
    pub fn remove(&self, key: &str) -> Result<(), SessionError> {
        let mut state = self.used();
        state.writable()?;
        state.changes.fields.insert(key.into(), None);
        Ok(())
    }

    /// Removes all data at the commit; the session stays.
    ///
    /// # Errors
    ///
    /// As of [`insert`](Self::insert).
    pub fn clear(&self) -> Result<(), SessionError> {
        let mut state = self.used();
        state.writable()?;
        state.changes = Changes {
            cleared: true,
            ..Changes::default()
        };
        Ok(())
    }

    /// Logs `user` in, at the commit and in one step with the other changes: the session is
    /// theirs from then on and gets a new id (OWASP: session fixation). Call it at every login,
    /// after the password or whatever else was checked. `user` is what the application knows
    /// them by, 1 to 256 bytes.
    ///
    /// When nobody was logged in, or somebody else, the old id is anonymous at once. An anonymous
    /// session's data stay, those of another user go; what this request has set stays. When the
    /// same user was logged in, this is a [`renew`](Self::renew). Where there is no session yet,
    /// there is one then.
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidUser`], and those of [`renew`](Self::renew).
    pub fn login(&self, user: &str) -> Result<(), SessionError> {
        const MOST: usize = 256;
        let mut state = self.used();
        state.writable()?;
        if user.is_empty() || user.len() > MOST {
            return Err(SessionError::InvalidUser);
        }
        state.login = Some(user.into());
        state.renew = true;
        Ok(())
    }

    /// Who is logged in, as [`login`](Self::login) has named them. One round trip if nothing was
    /// loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn user(&self) -> Result<Option<Arc<str>>, SessionError> {
        let login = self.used().login.clone();
        if login.is_some() {
            return Ok(login);
        }
        self.load().await?;
        Ok(self.state().live().and_then(|live| live.user.clone()))
    }

    /// Gives the session a new id at the commit, in one step with the other changes, for instance
    /// when the user's privileges change. Data and user stay. For a login there is
    /// [`login`](Self::login): after it the old id does not lead to the user's session.
    ///
    /// After a renewal the old id leads to the session until the new one was used, since its
    /// client may never have got the response; and for the
    /// [grace](super::SessionLayer::with_renewal_grace) in any case, so that requests under way
    /// stay logged in. A request that comes by an old id commits its changes, but gets no
    /// new id.
    ///
    /// # Errors
    ///
    /// [`SessionError::Committed`], [`SessionError::Ended`], and [`SessionError::Unavailable`]
    /// after the store has failed this request.
    pub fn renew(&self) -> Result<(), SessionError> {
        let mut state = self.used();
        state.writable()?;
        state.renew = true;
        Ok(())
    }

    /// Whether the store has the session. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn exists(&self) -> Result<bool, SessionError> {
        drop(self.used());
        self.load().await?;
        Ok(self.state().live().is_some())
    }

    /// A public name of the session, the same under every id it gets, and of no use to get into
    /// it; `None` before it is stored. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn handle(&self) -> Result<Option<Arc<str>>, SessionError> {
        drop(self.used());
        self.load().await?;
        Ok(self.state().live().map(|live| live.lineage.clone()))
    }

    /// The session of the layer whose cookie is called `cookie_name` (without prefix), of
    /// several around this handler. This handle is that of the innermost.
    pub fn named(&self, cookie_name: &str) -> Option<&Self> {
        std::iter::successors(Some(self), |session| session.0.outer.as_ref())
            .find(|session| session.cookie().base_name() == cookie_name)
    }

    /// Whether the handler has used the session so far, so that the response is private.
    pub fn was_accessed(&self) -> bool {
        self.state().accessed
    }

    pub(super) fn cookie(&self) -> &CookieSettings {
        &self.0.config.cookie
    }

    pub(super) fn rules(&self) -> Rules {
        self.0.config.rules()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with the note that the handler has used the session.
    pub(super) fn used(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.accessed = true;
        state
    }

    /// Lets nothing be changed any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, key: &str, value: &[u8]) -> Option<T> {
        let decoded = serde_json::from_slice(value);
        // Not the message: it may quote the value.
        let report = |error: &serde_json::Error| {
            let (session, error) = (self.log_id(), error.classify());
            tracing::warn!(target: "tower_keep::session", %session, key, ?error, "a session value does not read as its type and counts as absent");
        };
        decoded.inspect_err(report).ok()
    }

    /// What stands for the session in logs.
    pub(super) fn log_id(&self) -> LogId {
        if let Some(live) = self.state().live() {
            return LogId::of(&live.lineage);
        }
        let place = self.0.presented.as_ref().map(SessionId::place);
        LogId::of(place.as_ref().map_or("", |place| place.id_hash()))
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(
    key: &str,
    value: &T,
) -> Result<bytes::Bytes, SessionError> {
    match serde_json::to_vec(value) {
        Ok(value) => Ok(value.into()),
        Err(error) => Err(SessionError::Serialize {
            key: key.into(),
            error,
        }),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("cookie", &self.cookie().name())
            .finish_non_exhaustive()
    }
}
