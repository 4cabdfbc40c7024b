//! What a request leaves to be committed.

use std::sync::Arc;

use http::StatusCode;

use super::{
    super::{
        config::SessionOnStoreError, head::CookieChange, id::LogId, lifetime::SessionLifetime,
        report,
    },
    Session,
    reach::Target,
    state::{Login, State},
    stored::{Seen, Stored},
};
use crate::store::operations::session::{Changes, Lifetime, Via};

/// How a request's session ends.
#[derive(Debug)]
pub(in crate::session) enum Ending {
    /// Without a commit.
    Done(CookieChange),
    /// Likewise, and the messages that the page has taken are to be given back.
    GiveBack(CookieChange),
    /// The store has failed the request.
    Unavailable,
    Commit(Plan),
}

/// What is to be committed, and where; without a target to a new session.
#[derive(Debug)]
pub(in crate::session) struct Plan {
    pub(super) target: Option<Target>,
    pub(super) changes: Arc<Changes>,
    /// Whether to ask for a new id.
    pub(super) renews: bool,
    /// Who logs in. It comes with a new id.
    pub(super) login: Option<Login>,
    /// What the handler has chosen; in it `None` for what the layer says. It comes with a new id.
    pub(super) lifetime: Option<Option<SessionLifetime>>,
}

impl Session {
    /// Closes the session at the head of a response, and says what is left to do.
    pub(in crate::session) fn end(&self, status: StatusCode) -> Ending {
        let config = &self.0.config;
        let mut state = self.state();
        state.closed = true;
        if let Some(error) = &state.failed {
            report::unavailable(error);
            if state.has_changes() || config.on_store_error == SessionOnStoreError::Unavailable {
                return Ending::Unavailable;
            }
        }
        let dropped = status.is_server_error() && !config.commit_on_server_error
            || status == StatusCode::PAYLOAD_TOO_LARGE && state.too_large;
        match self.plan(&mut state, true) {
            Some(plan) if !dropped => Ending::Commit(plan),
            _ if dropped && !state.taken.is_empty() => Ending::GiveBack(state.take_cookie()),
            _ => {
                state.taken.clear();
                Ending::Done(state.take_cookie())
            }
        }
    }

    /// Takes out of the state what is to be committed; `None` when nothing is. `before_head` says
    /// whether a new id can still reach the client.
    pub(super) fn plan(&self, state: &mut State, before_head: bool) -> Option<Plan> {
        let due = |interval| state.live().is_some_and(|live| live.age.id >= interval);
        let renews = state.renew || before_head && self.0.config.renewal.is_some_and(due);
        let changed = state.has_changes();
        let changes = state.take_changes();
        let login = state.login.take();
        let lifetime = state.lifetime.take();
        state.renew = false;
        let target = self.target(&state.stored);
        let commits = match (&state.stored, &target) {
            // An id that a pointer led to is renewed by a login as another user alone.
            (_, Some(target)) if login.is_none() && target.place.via != Via::Presented => {
                !changes.is_empty() || lifetime.is_some()
            }
            (_, Some(_)) => !changes.is_empty() || renews,
            (Stored::Ended(lineage), None) => {
                if changed {
                    report_dropped(lineage);
                }
                false
            }
            (_, None) => login.is_some() || changes.fields.values().any(Option::is_some),
        };
        commits.then(|| Plan {
            target,
            changes: Arc::new(changes),
            renews,
            login,
            lifetime,
        })
    }
}

impl Plan {
    /// The login, if it makes the session another user's than it was `seen` to be.
    pub(super) fn new_user(&self, seen: Option<&Seen>) -> Option<&Login> {
        let user = seen.and_then(|seen| seen.user.as_ref());
        (self.login.as_ref()).filter(|login| user != Some(&login.user))
    }

    /// Whose session it is then that was `seen`.
    pub(super) fn user<'a>(&'a self, seen: Option<&'a Seen>) -> Option<&'a Arc<str>> {
        match &self.login {
            Some(login) => Some(&login.user),
            None => seen.and_then(|seen| seen.user.as_ref()),
        }
    }

    /// What is to be stored of the lifetime of a session that was `seen`, or is new; `None` where it
    /// stays as it is. `absolute` is the layer's timeout.
    pub(super) fn lifetime(
        &self,
        seen: Option<&Seen>,
        absolute: std::time::Duration,
    ) -> Option<Lifetime> {
        let noted = Lifetime::Noted { absolute };
        let stored = seen.and_then(|seen| seen.lifetime);
        match self.lifetime {
            Some(Some(own)) => Some(own.into()),
            Some(None) => Some(noted),
            // What one user has chosen is not for the next.
            None if self.new_user(seen).is_some() => Some(noted),
            None if self.login.is_some() => match stored {
                Some(Lifetime::Own { .. }) => None,
                Some(Lifetime::Noted { .. }) | None => Some(noted),
            },
            None => None,
        }
    }
}

pub(super) fn report_dropped(lineage: &str) {
    let session = LogId::of(lineage);
    tracing::info!(target: "tower_keep::session", %session, "a session ended before its changes were committed: they are dropped");
}
