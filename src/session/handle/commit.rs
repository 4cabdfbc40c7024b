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
        user_sessions::{Binding, UserSessions},
    },
    Session,
    reach::{Found, Target},
    state::{Login, Stored},
};
use crate::store::{
    StoreError,
    operations::{
        session::{
            Bound, Changes, CommitSession, Committed, CreateSession, Follower, Renewal, Via,
        },
        session_index::Member,
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
    login: Option<Login>,
    /// Who was logged in when the session was loaded.
    user: Option<Arc<str>>,
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
                user: state.live().and_then(|live| live.user.clone()),
            });
        }
        Ending::Done(if state.destroyed {
            CookieChange::Remove
        } else {
            CookieChange::Keep
        })
    }

    /// Commits, and says what the client is to do with its cookie. One round trip; one more for a
    /// renewal of a session that was not read, for every renewal by another request meanwhile, and
    /// when the session is not there any more. A login takes one more to note the session.
    pub(in crate::session) async fn commit(
        self,
        mut plan: Plan,
    ) -> Result<CookieChange, SessionError> {
        // A handler that has read the session does not want to log in to another one.
        let seen = (plan.target.as_ref()).is_some_and(|target| target.lineage.is_some());
        if plan.renews && !seen && plan.target.is_some() {
            let follower = match plan.login {
                Some(_) => Follower::Login,
                None => Follower::Request,
            };
            let found = self.find(follower).await?;
            // Where another user has logged in over this id, whoever logs in gets a session of
            // their own.
            let found = found.filter(|found| {
                let login = plan.login.as_ref().map(|login| &login.user);
                found.place.via != Via::Closed || found.session.user.as_ref() == login
            });
            plan.user = found.as_ref().and_then(|found| found.session.user.clone());
            plan.target = found.map(|found| Target {
                place: found.place,
                lineage: Some(found.session.lineage),
                touch: false,
            });
        }
        if let Some(target) = &plan.target {
            match self.commit_to(target, &plan).await? {
                Found::Here(_, change) => return Ok(change),
                // Whoever logs in gets a session of their own.
                Found::Another => {}
                Found::Nowhere => {
                    if let Some(lineage) = target.lineage.as_ref().filter(|_| seen) {
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
        if !plan.renews {
            let commit = |access, _: &Place| CommitSession {
                access,
                changes: plan.changes.clone(),
                renewal: None,
            };
            let found = self
                .reach(target.clone(), Follower::Request, commit)
                .await?;
            return Ok(found.map(|_| CookieChange::Keep));
        }
        let new_id = SessionId::renewed(&target.place)?;
        let names = self.0.store.names();
        let new_user =
            (plan.login.as_ref()).filter(|login| plan.user.as_ref() != Some(&login.user));
        let lineage = match (new_user, &target.lineage) {
            (None, Some(lineage)) => lineage.clone(),
            _ => id::lineage()?,
        };
        let member = target.place.member(lineage.clone());
        if let Some(login) = &plan.login
            && !self.enter(login, member.clone()).await?
        {
            return Ok(Found::Nowhere);
        }
        let has_user = plan.login.is_some() || plan.user.is_some();
        let renewal = |place: &Place| {
            let new = new_id.place();
            // Through an old id only a login asks for a new one.
            let asks = plan.login.is_some() || place.via == Via::Presented;
            asks.then(|| Renewal {
                user: plan.login.as_ref().map(|login| login.user.clone()),
                old_hash: place.id_hash().into(),
                key: new.key(names),
                id_hash: new.id_hash().into(),
                grace: self.0.config.grace,
                lineage: lineage.clone(),
                place: has_user.then(|| place.noted(names, &lineage)),
                old_place: (plan.user.as_ref().and(new_user))
                    .and(target.lineage.as_ref())
                    .map(|lineage| place.noted(names, lineage)),
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
        let found = self.reach(target.clone(), follower, commit).await;
        if let Some(login) = new_user {
            match &found {
                Ok(Found::Here(place, Committed::NewId(_))) => {
                    self.forget_before(place, target, plan).await;
                }
                // It may have been stored.
                Err(SessionError::Unavailable(_)) => {}
                // The session is another login's, or was not stored.
                _ => self.leave(&login.user, &member).await,
            }
        }
        Ok(found?.map(|committed| match committed {
            Committed::NewId(remaining) | Committed::Joined(remaining) => CookieChange::Issue {
                id: new_id,
                remaining,
                persistent: false,
            },
            Committed::SameId => CookieChange::Keep,
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
        let place = id.place();
        let lineage = id::lineage()?;
        let rules = self.rules();
        if let Some(login) = &plan.login
            && !self.enter(login, place.member(lineage.clone())).await?
        {
            report_dropped(&lineage);
            return Ok(CookieChange::Keep);
        }
        let names = self.0.store.names();
        let create = CreateSession {
            key: place.key(names),
            ttl: rules.idle.min(rules.absolute),
            lineage: lineage.clone(),
            user: plan.login.as_ref().map(|login| Bound {
                user: login.user.clone(),
                place: place.noted(names, &lineage),
                id_hash: place.id_hash().into(),
                absolute: rules.absolute,
            }),
            fields: Arc::new(fields),
        };
        match self.0.store.execute(create).await {
            Ok(true) => Ok(CookieChange::Issue {
                id,
                remaining: rules.absolute,
                persistent: false,
            }),
            Ok(false) => {
                report_dropped(&lineage);
                Ok(CookieChange::Keep)
            }
            Err(StoreError::NoRoom) => Err(SessionError::TooLarge),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes a session in the index of the user who logs in, before it is stored.
    async fn enter(&self, login: &Login, member: Member) -> Result<bool, SessionError> {
        let binding = Binding {
            member,
            absolute: self.0.config.absolute,
            device: login.device.clone(),
            cap: self.0.config.max_sessions_per_user,
        };
        let user = UserSessions::of(self.0.store.clone(), &login.user);
        Ok(user.enter(&binding).await?)
    }

    /// Takes a session that another user has logged in to out of the index of the user before.
    async fn forget_before(&self, place: &Place, target: &Target, plan: &Plan) {
        if let (Some(user), Some(lineage)) = (&plan.user, &target.lineage) {
            self.leave(user, &place.member(lineage.clone())).await;
        }
    }

    /// Takes a session that is not there out of an index. When that fails it is done at the next
    /// list.
    pub(super) async fn leave(&self, user: &str, member: &Member) {
        let user = UserSessions::of(self.0.store.clone(), user);
        if let Err(error) = user.forget_ended(member).await {
            tracing::debug!(target: "tower_keep::session", %error, "a session that has ended is still in its user's index");
        }
    }
}

fn report_dropped(lineage: &str) {
    let session = LogId::of(lineage);
    tracing::info!(target: "tower_keep::session", %session, "a session ended before its changes were committed: they are dropped");
}
