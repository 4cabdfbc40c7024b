//! The handle that a handler works with.
//!
//! | File | What it has |
//! |---|---|
//! | `data` | reading and changing values |
//! | `exchange` | changing a stored value at once |
//! | `encoding` | values as they are stored |
//! | `flash`, `csrf` | messages for the next page, tokens for forms |
//! | `lifecycle` | login, renewal, logout, and what a session is |
//! | `users` | the other sessions of its user |
//! | `state` | what the request has changed, and what its session is to it; no I/O |
//! | `stored` | what is known of the session in the store |
//! | `reach` | the way from an id to its session in the store |
//! | `load` | the first read, and noting activity |
//! | `plan` | what a request leaves to be committed |
//! | `commit` | committing it |
//! | `save` | committing while the handler runs, and after the head of the response |

mod commit;
mod csrf;
mod data;
mod encoding;
mod exchange;
mod flash;
mod lifecycle;
mod load;
pub(super) mod plan;
mod reach;
mod save;
mod state;
mod stored;
mod users;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::flash::Flash;
use self::state::{Bounds, State};
use super::{
    config::Config,
    id::{LogId, SessionId},
    transport::{Carrier, Transports, cookie::CookieSettings},
    user_sessions::UserSessions,
};
use crate::{
    Store,
    store::operations::session::{Names, Rules},
};

/// The session of a request, out of its extensions or (feature `axum`) as an extractor.
///
/// Nothing is asked of the store before a method needs it, and one load serves the whole
/// request, however many tasks wait for it. Values are JSON, each stored on its own.
///
/// [`insert`](Self::insert), [`remove`](Self::remove), [`clear`](Self::clear),
/// [`login`](Self::login) and [`renew`](Self::renew) are remembered and committed together, atomically, before the
/// response begins, and dropped when it is a 5xx. [`increment`](Self::increment),
/// [`update`](Self::update) and [`destroy`](Self::destroy), and what is built on them
/// ([`flash`](Self::flash), [`csrf_token`](Self::csrf_token)), act on a stored session at once, so
/// that concurrent requests see them, and stay whatever the response is.
///
/// A session holds 64 KiB and 128 keys unless the layer says otherwise, names and values as JSON
/// counted. A change over that is [`SessionError::TooLarge`](crate::session::SessionError::TooLarge), at the call where it can be known
/// there. If only the commit finds out, the response becomes a 413 and nothing is committed.
///
/// Clones are the same session.
#[derive(Clone)]
pub struct Session(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) config: Arc<Config>,
    pub(super) presented: Option<SessionId>,
    carrier: Carrier,
    outer: Option<Session>,
    state: Mutex<State>,
    /// Held by the one call of this request that talks to the store.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Session {
    pub(super) fn new(
        store: &Store,
        config: &Arc<Config>,
        sent: Option<Option<SessionId>>,
        carrier: Carrier,
        outer: Option<Self>,
    ) -> Self {
        let is_sent = sent.is_some();
        let presented = sent.flatten();
        Self(Arc::new(Shared {
            store: store.clone(),
            config: config.clone(),
            state: Mutex::new(State::new(presented.is_some(), is_sent)),
            presented,
            carrier,
            outer,
            turn: tokio::sync::Mutex::default(),
        }))
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

    /// How the id of this request's session travels.
    pub(super) fn transport(&self) -> (&Transports, Carrier) {
        (&self.0.config.transports, self.0.carrier)
    }

    fn cookie(&self) -> &CookieSettings {
        &self.0.config.transports.cookie
    }

    fn rules(&self) -> Rules {
        self.0.config.rules()
    }

    fn bounds(&self) -> Bounds {
        let config = &self.0.config;
        Bounds {
            max_bytes: config.max_bytes,
            max_keys: config.max_keys,
            overhead: config.overhead(),
        }
    }

    /// The keys of its layer's sessions.
    fn names(&self) -> Names<'_> {
        Names::new(self.0.store.names(), self.0.config.name())
    }

    /// The sessions of a user whose name was checked.
    fn sessions_of(&self, user: &str) -> UserSessions {
        UserSessions::of(self.0.store.clone(), self.0.config.name(), user)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with the note that the handler has used the session.
    fn used(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.accessed = true;
        state
    }

    /// Lets nothing be changed any more, and gives back the messages that a page has taken whose
    /// response did not go out.
    pub(super) fn close(&self) {
        let unshown = {
            let mut state = self.state();
            state.closed = true;
            !state.taken.is_empty()
        };
        if unshown && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let session = self.clone();
            runtime.spawn(async move { session.give_back().await });
        }
    }

    /// What stands for the session in logs.
    fn log_id(&self) -> LogId {
        if let Some(live) = self.state().live() {
            return LogId::of(&live.seen.lineage);
        }
        let place = self.0.presented.as_ref().map(SessionId::place);
        LogId::of(place.as_ref().map_or("", |place| place.id_hash()))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("cookie", &self.cookie().name())
            .finish_non_exhaustive()
    }
}
