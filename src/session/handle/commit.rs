//! The end of a request: what is to be committed, and committing it.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;

use super::{
    super::{
        config::SessionOnStoreError,
        error::SessionError,
        head::CookieChange,
        id::{self, LogId, Place, SessionId},
        report,
    },
    Session,
    reach::{Found, Target},
    state::Stored,
};
use crate::store::{
    StoreError,
    operations::session::{
        Changes, CommitSession, Committed, CreateSession, Follower, Renewal, Via,
    },
};

/// How a request's session ends.
#[derive(Debug)]
pub(in crate::session) enum Ending {
    /// Without a commit.
    Done(CookieChange),
    /// The store has failed the request.
    Unavailable,
    Commit(Plan),
}

/// What is to be committed, and where; without a target to a new session.
#[derive(Debug)]
pub(in crate::session) struct Plan {
    target: Option<Target>,
    changes: Arc<Changes>,
    /// Whether to ask for a new id.
    renews: bool,
    /// Who logs in. It comes with a new id.
    login: Option<Arc<str>>,
}

impl Session {
    /// Closes the session at the head of a response, and says what is left to do.
    pub(in crate::session) fn end(&self, status: StatusCode) -> Ending {
        let config = &self.0.config;
        let mut state = self.state();
        state.closed = true;
        let changes = state.take_changes();
        let changed = !changes.is_empty() || state.renew;
        if let Some(error) = &state.failed {
            report::unavailable(error);
            if changed || config.on_store_error == SessionOnStoreError::Unavailable {
                return Ending::Unavailable;
            }
        }
        let dropped = status.is_server_error() && !config.commit_on_server_error
            || status == StatusCode::PAYLOAD_TOO_LARGE && state.too_large;
        let due = |interval| state.live().is_some_and(|live| live.age.id >= interval);
        let renews = state.renew || config.renewal.is_some_and(due);
        let login = state.login.clone();
        let commits = match &state.stored {
            _ if dropped => false,
            // An id that a pointer led to is renewed by a login as another user alone.
            Stored::Live(live) if login.is_none() && live.place.via != Via::Presented => {
                !changes.is_empty()
            }
            Stored::Unknown | Stored::Live(_) => !changes.is_empty() || renews,
            Stored::Absent => login.is_some() || changes.fields.values().any(Option::is_some),
            Stored::Ended(lineage) => {
                if changed {
                    report_dropped(lineage);
                }
                false
            }
        };
        if commits {
            return Ending::Commit(Plan {
                target: self.target(&state.stored),
                changes: Arc::new(changes),
                renews,
                login,
            });
        }
        Ending::Done(if state.destroyed {
            CookieChange::Remove
        } else {
            CookieChange::Keep
        })
    }

    /// Commits, and says what the client is to do with its cookie. One round trip; two when the
    /// request has changed a session without reading it and it is not there or its id is new, and
    /// one more for every renewal by another request meanwhile.
    pub(in crate::session) async fn commit(self, plan: Plan) -> Result<CookieChange, SessionError> {
        if let Some(target) = &plan.target {
            match self.commit_to(target, &plan).await? {
                Found::Here(_, change) => return Ok(change),
                // Whoever logs in gets a session of their own.
                Found::Another => {}
                Found::Nowhere => {
                    if let Some(lineage) = &target.lineage {
                        report_dropped(lineage);
                        return Ok(CookieChange::Keep);
                    }
                }
            }
        }
        self.create(&plan).await
    }

    /// Commits to a session that is there.
    async fn commit_to(
        &self,
        target: &Target,
        plan: &Plan,
    ) -> Result<Found<CookieChange>, SessionError> {
        let new_id = match plan.renews {
            true => Some(SessionId::renewed(&target.place)?),
            false => None,
        };
        let renewal = |place: &Place| {
            let new = new_id.as_ref()?.place();
            // Through an old id only a login asks for a new one.
            let asks = plan.login.is_some() || place.via == Via::Presented;
            asks.then(|| Renewal {
                user: plan.login.clone(),
                old_hash: place.id_hash().into(),
                key: new.key(self.0.store.names()),
                id_hash: new.id_hash().into(),
                grace: self.0.config.grace,
            })
        };
        let commit = |access, place: &Place| CommitSession {
            access,
            changes: plan.changes.clone(),
            renewal: renewal(place),
        };
        let follower = match plan.login {
            Some(_) => Follower::Login,
            None => Follower::Request,
        };
        let found = self.reach(target.clone(), follower, commit).await?;
        Ok(found.map(|committed| match (committed, new_id) {
            (Committed::NewId(remaining), Some(id)) => CookieChange::Issue(id, remaining),
            _ => CookieChange::Keep,
        }))
    }

    /// Stores a new session, if there is anything to store. Always under an id of our own: what
    /// the client has sent is never adopted.
    async fn create(&self, plan: &Plan) -> Result<CookieChange, SessionError> {
        let fields = (plan.changes.fields.iter())
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect::<BTreeMap<_, _>>();
        if fields.is_empty() && plan.login.is_none() {
            return Ok(CookieChange::Keep);
        }
        let id = SessionId::random()?;
        let rules = self.rules();
        let create = CreateSession {
            key: id.place().key(self.0.store.names()),
            ttl: rules.idle.min(rules.absolute),
            lineage: id::lineage()?,
            user: plan.login.clone(),
            fields: Arc::new(fields),
        };
        match self.0.store.execute(create).await {
            Ok(()) => Ok(CookieChange::Issue(id, rules.absolute)),
            Err(StoreError::NoRoom) => Err(SessionError::TooLarge),
            Err(error) => Err(error.into()),
        }
    }
}

fn report_dropped(lineage: &str) {
    let session = LogId::of(lineage);
    tracing::info!(target: "tower_keep::session", %session, "a session ended before its changes were committed: they are dropped");
}
