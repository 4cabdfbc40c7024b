//! The end of a request: what is to be committed, and committing it.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;

use super::{
    Session, SessionError, StoreFailure,
    head::CookieChange,
    id::{self, LogId, SessionId},
    state::{Stored, Target},
};
use crate::store::operations::session::{Changes, CommitSession, CreateSession, Renewal};

/// How a request's session ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// Without a commit.
    Done(CookieChange),
    /// The store has failed the request.
    Unavailable,
    Commit(Plan),
}

/// What is to be committed, and where; without a target to a new session.
#[derive(Debug)]
pub(super) struct Plan {
    target: Option<Target>,
    changes: Arc<Changes>,
    renew: Renew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renew {
    No,
    /// The id has reached its age: once is enough, so not if another request has done it.
    Due,
    /// The handler has asked for it.
    Asked,
}

impl Session {
    /// Closes the session at the head of a response, and says what is left to do.
    pub(super) fn end(&self, status: StatusCode) -> Ending {
        let config = &self.0.config;
        let mut state = self.state();
        state.closed = true;
        let changes = state.take_changes();
        let changed = !changes.is_empty() || state.renew;
        if state.failed.is_some() && (changed || config.on_store_error == StoreFailure::Unavailable)
        {
            return Ending::Unavailable;
        }
        let dropped = status.is_server_error() && !config.commit_on_server_error;
        let due = |interval| {
            let live = state.live();
            live.is_some_and(|live| live.id_age >= interval && !live.place.moved)
        };
        let renew = match (state.renew, config.renewal) {
            (true, _) => Renew::Asked,
            (false, Some(interval)) if due(interval) => Renew::Due,
            (false, _) => Renew::No,
        };
        let target = self.target(&state.stored);
        let commits = match &state.stored {
            _ if dropped => false,
            Stored::Unknown | Stored::Live(_) => !changes.is_empty() || renew != Renew::No,
            Stored::Absent => changes.fields.values().any(Option::is_some),
            Stored::Ended(lineage) => {
                if changed {
                    report_dropped(lineage);
                }
                false
            }
        };
        if commits {
            return Ending::Commit(Plan {
                target,
                changes: Arc::new(changes),
                renew,
            });
        }
        Ending::Done(if state.destroyed {
            CookieChange::Remove
        } else {
            CookieChange::Keep
        })
    }

    /// Commits, and says what the client is to do with its cookie. One round trip; two when the
    /// request has changed a session without reading it and it is not there, and one more for
    /// every renewal by another request meanwhile.
    pub(super) async fn commit(self, plan: Plan) -> Result<CookieChange, SessionError> {
        if let Some(target) = &plan.target {
            if let Some(change) = self.commit_to(target, &plan).await? {
                return Ok(change);
            }
            if let Some(lineage) = &target.lineage {
                report_dropped(lineage);
                return Ok(CookieChange::Keep);
            }
        }
        self.create(&plan).await
    }

    /// Commits to a session that is there; `None` if it is not.
    async fn commit_to(
        &self,
        target: &Target,
        plan: &Plan,
    ) -> Result<Option<CookieChange>, SessionError> {
        let new_id = match plan.renew {
            Renew::No => None,
            Renew::Due | Renew::Asked => Some(SessionId::renewed(&target.place)?),
        };
        let new_id = |moved: bool| {
            new_id
                .as_ref()
                .filter(|_| !moved || plan.renew == Renew::Asked)
        };
        let renewal = |id: &SessionId| {
            let new = id.place();
            Renewal {
                key: new.key(self.0.store.names()),
                id_hash: new.id_hash().into(),
                grace: self.0.config.grace,
            }
        };
        let commit = |access, moved| CommitSession {
            access,
            changes: plan.changes.clone(),
            renewal: new_id(moved).map(renewal),
        };
        let reached = self.reach(target.clone(), commit).await?;
        Ok(reached.map(|(place, remaining)| match new_id(place.moved) {
            Some(id) => CookieChange::Issue(id.clone(), remaining),
            None => CookieChange::Keep,
        }))
    }

    /// Stores a new session, if there is anything to store. Always under an id of our own: what
    /// the client has sent is never adopted.
    async fn create(&self, plan: &Plan) -> Result<CookieChange, SessionError> {
        let fields = (plan.changes.fields.iter())
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect::<BTreeMap<_, _>>();
        if fields.is_empty() {
            return Ok(CookieChange::Keep);
        }
        let id = SessionId::random()?;
        let timeouts = self.0.config.timeouts();
        let create = CreateSession {
            key: id.place().key(self.0.store.names()),
            timeouts,
            lineage: id::lineage()?,
            fields: Arc::new(fields),
        };
        self.0.store.execute(create).await?;
        Ok(CookieChange::Issue(id, timeouts.absolute))
    }
}

fn report_dropped(lineage: &str) {
    let session = LogId::of(lineage);
    tracing::info!(target: "tower_keep::session", %session, "a session ended before its changes were committed: they are dropped");
}
