//! Committing a request's changes, to the session that is there or to a new one.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        error::SessionError,
        head::CookieChange,
        id::{self, Place, SessionId},
        transport::Issue,
        user_sessions::{Binding, Noted},
    },
    Session,
    plan::{Plan, report_dropped},
    reach::{Found, Target},
    stored::{Seen, Written},
};
use crate::store::{
    StoreError,
    operations::{
        session::{
            Access, Bound, CommitSession, Committed, CreateSession, Follower, Lifetime, Prospect,
            Renewal, Via,
        },
        session_index::Member,
    },
};

impl Session {
    /// Commits before the head of the response, and says what the client is to do with its
    /// cookie.
    pub(in crate::session) async fn commit(
        &self,
        plan: &mut Plan,
    ) -> Result<CookieChange, SessionError> {
        let _turn = self.0.turn.lock().await;
        let chosen = plan.lifetime;
        let written = self.write(plan).await;
        #[cfg(feature = "metrics")]
        crate::metrics::session_commit(match &written {
            Ok(_) => "committed",
            Err(SessionError::TooLarge) => "too-large",
            Err(_) => "failed",
        });
        let mut state = self.state();
        state.written(written?, chosen.map(|own| self.prospect(own)));
        state.taken.clear();
        Ok(state.take_cookie())
    }

    /// Writes what is to be committed. One round trip; one more for a renewal of a session that was
    /// not read, for every renewal by another request meanwhile, and when the session is not there
    /// any more. A login takes one more to note the session, and so does another lifetime of a
    /// session with a user. The caller has the turn.
    ///
    /// All but a change of a session that is there is boxed: most commits are that, and do not pay
    /// for the room that the others need.
    pub(super) async fn write(&self, plan: &mut Plan) -> Result<Written, SessionError> {
        // A handler that has read the session does not want to log in to another one.
        let seen = plan.target.as_ref().and_then(|target| target.seen.clone());
        if plan.renews
            && seen.is_none()
            && let Some(target) = plan.target.take()
        {
            let found = Box::pin(self.find(&target, follower(plan))).await?;
            // Where another user has logged in over this id, whoever logs in gets a session of
            // their own.
            let found = found.filter(|found| {
                let login = plan.login.as_ref().map(|login| &login.user);
                found.place.via != Via::Closed || found.session.user.as_ref() == login
            });
            plan.target = found.map(|found| found.target());
        }
        if let Some(target) = &plan.target {
            let found = match plan.renews {
                true => Box::pin(self.renew_at(target, plan)).await?,
                false => self.change_at(target, plan).await?,
            };
            match found {
                Found::Here(_, written) => return Ok(written),
                // Whoever logs in gets a session of their own.
                Found::Another => {}
                Found::Nowhere => {
                    if let Some(seen) = seen {
                        report_dropped(&seen.lineage);
                        return Ok(Written::Dropped(seen.lineage));
                    }
                }
            }
        }
        if plan.login.is_none() && self.state().overtaken {
            let place = self.0.presented.as_ref().map(SessionId::place);
            let id_hash = place.as_ref().map_or("", Place::id_hash);
            report_dropped(id_hash);
            return Ok(Written::Dropped(id_hash.into()));
        }
        Box::pin(self.create(plan)).await
    }

    /// Commits to a session that is there, and keeps its id.
    async fn change_at(
        &self,
        target: &Target,
        plan: &Plan,
    ) -> Result<Found<Written>, SessionError> {
        let changes = self.seal_all(&target.place, &plan.changes)?;
        let commit = |access, _: &Place| CommitSession {
            access,
            changes: changes.clone(),
            lifetime: None,
            renewal: None,
        };
        let found = self.reach(target, Follower::Request, commit).await?;
        Ok(found.map_with(|place, _| Written::Here(place.clone(), target.seen.clone())))
    }

    /// Commits to a session that is there, and gives it a new id.
    async fn renew_at(&self, target: &Target, plan: &Plan) -> Result<Found<Written>, SessionError> {
        let changes = self.seal_all(&target.place, &plan.changes)?;
        let mut target = target.clone();
        let Some(lineage) = self.note(&mut target, plan).await? else {
            return Ok(Found::Nowhere);
        };
        let seen = target.seen.as_ref();
        let lifetime = plan.lifetime(seen, self.0.config.absolute);
        let new_id = SessionId::renewed(&target.place)?;
        let names = self.names();
        let new_user = plan.new_user(seen);
        let user_before = seen.and_then(|seen| seen.user.as_ref());
        let user = plan.user(seen);
        let member = target.place.member(lineage.clone());
        let renewal = |place: &Place| {
            let new = new_id.place();
            // Also through an old id, where only a login gets the new one: what is noted of the session
            // then holds for as long as it lives.
            Renewal {
                user: plan.login.as_ref().map(|login| login.user.clone()),
                old_hash: place.id_hash().into(),
                key: new.key(names),
                id_hash: new.id_hash().into(),
                grace: self.0.config.grace,
                lineage: lineage.clone(),
                place: user.map(|_| place.noted(names, &lineage)),
                old_place: (user_before.and(new_user))
                    .and(seen)
                    .map(|seen| place.noted(names, &seen.lineage)),
            }
        };
        let commit = |access: Access, place: &Place| CommitSession {
            access: Access {
                touch: access.touch || lifetime.is_some(),
                ..access
            },
            changes: changes.clone(),
            lifetime,
            renewal: Some(Box::new(renewal(place))),
        };
        let found = self.reach(&target, follower(plan), commit).await;
        if let Some(login) = new_user {
            match &found {
                Ok(Found::Here(place, Committed::NewId(_))) => {
                    if let (Some(user), Some(seen)) = (user_before, seen) {
                        self.leave(user, &place.member(seen.lineage.clone())).await;
                    }
                }
                // It may have been stored.
                Err(SessionError::Unavailable(_)) => {}
                // The session is another login's, or was not stored.
                _ => self.leave(&login.user, &member).await,
            }
        }
        let now = |lineage: &Arc<str>| Seen {
            lineage: lineage.clone(),
            user: user.cloned(),
            lifetime: lifetime.or(seen.and_then(|seen| seen.lifetime)),
        };
        let issue = |prospect: Prospect| Issue {
            id: new_id.clone(),
            remaining: prospect.remaining,
            persistent: prospect.persistent,
        };
        Ok(found?.map_with(|place, committed| match committed {
            Committed::NewId(prospect) => Written::NewId(issue(prospect), Some(now(&lineage))),
            // It has the lineage of the other login.
            Committed::Joined(prospect) => Written::NewId(issue(prospect), None),
            Committed::SameId => Written::Here(place.clone(), Some(now(&lineage))),
        }))
    }

    /// Stores a new session, if there is anything to store. Always under an id of our own: what
    /// the client has sent is never adopted.
    async fn create(&self, plan: &Plan) -> Result<Written, SessionError> {
        let holds_data = plan.changes.fields.values().any(Option::is_some);
        if !holds_data && plan.login.is_none() {
            return Ok(Written::Nothing);
        }
        let id = SessionId::random()?;
        let place = id.place();
        let changes = self.seal_all(&place, &plan.changes)?;
        let fields = (changes.fields.iter())
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect::<BTreeMap<_, _>>();
        let lineage = id::lineage()?;
        let rules = self.rules();
        let lifetime = plan.lifetime(None, rules.absolute);
        if let Some(login) = &plan.login {
            let member = place.member(lineage.clone());
            let binding = self.binding(plan, member, lifetime);
            let user = self.sessions_of(&login.user);
            let noted = match user.enter(&binding).await? {
                Noted::AtCap(members) => user.enter_at_cap(&binding, members).await?,
                noted => matches!(noted, Noted::Yes),
            };
            if !noted {
                report_dropped(&lineage);
                return Ok(Written::Dropped(lineage));
            }
        }
        let names = self.names();
        let user = plan.login.as_ref().map(|login| login.user.clone());
        let create = CreateSession {
            key: place.key(names),
            rules,
            lifetime,
            lineage: lineage.clone(),
            user: user.clone().map(|user| Bound {
                user,
                place: place.noted(names, &lineage),
                id_hash: place.id_hash().into(),
            }),
            fields: Arc::new(fields),
        };
        match self.0.store.execute(create).await {
            Ok(true) => {
                let issue = Issue {
                    id,
                    remaining: rules.of(lifetime).absolute,
                    persistent: lifetime.and_then(Lifetime::persistent),
                };
                let seen = Seen {
                    lineage,
                    user,
                    lifetime,
                };
                Ok(Written::NewId(issue, Some(seen)))
            }
            Ok(false) => {
                report_dropped(&lineage);
                Ok(Written::Dropped(lineage))
            }
            Err(StoreError::NoRoom) => Err(SessionError::TooLarge),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes the session in the index of its user, before it is stored for longer than that knows of
    /// it. Answers its lineage, which is a new one where another user logs in; `None` when it is
    /// being revoked. Where another login has brought its session to the same user meanwhile, that
    /// becomes the target.
    async fn note(
        &self,
        target: &mut Target,
        plan: &Plan,
    ) -> Result<Option<Arc<str>>, SessionError> {
        loop {
            let seen = target.seen.as_ref();
            let new_user = plan.new_user(seen);
            let lineage = match (new_user, seen) {
                (None, Some(seen)) => seen.lineage.clone(),
                _ => id::lineage()?,
            };
            // Also for another lifetime alone: the index must not forget the session before it ends.
            let notes = plan.login.is_some() || plan.lifetime.is_some();
            let Some(user) = plan.user(seen).filter(|_| notes) else {
                return Ok(Some(lineage));
            };
            let lifetime = plan.lifetime(seen, self.0.config.absolute);
            let lifetime = lifetime.or(seen.and_then(|seen| seen.lifetime));
            let member = target.place.member(lineage.clone());
            let binding = self.binding(plan, member, lifetime);
            let sessions = self.sessions_of(user);
            let noted = match sessions.enter(&binding).await? {
                Noted::AtCap(members) => {
                    // A session that is there already ends no other.
                    if new_user.is_some()
                        && let Some(joined) = self.joined(target, user).await?
                    {
                        *target = joined;
                        continue;
                    }
                    sessions.enter_at_cap(&binding, members).await?
                }
                noted => matches!(noted, Noted::Yes),
            };
            return Ok(noted.then_some(lineage));
        }
    }

    /// The session of the other login that has used up this id, if it was one as `user`.
    async fn joined(&self, target: &Target, user: &str) -> Result<Option<Target>, SessionError> {
        let found = self.find(target, Follower::Login).await?;
        Ok(found
            .filter(|found| found.place.via == Via::Closed)
            .filter(|found| found.session.user.as_deref() == Some(user))
            .map(|found| found.target()))
    }

    /// What is noted of a session. `lifetime` is what it has from then on.
    fn binding(&self, plan: &Plan, member: Member, lifetime: Option<Lifetime>) -> Binding {
        Binding {
            member,
            absolute: self.rules().of(lifetime).absolute,
            device: plan.login.as_ref().map(|login| login.device.clone()),
            cap: self.0.config.max_sessions_per_user,
        }
    }

    /// Takes a session that is not there out of an index. When that fails it is done at the next
    /// list.
    pub(super) async fn leave(&self, user: &str, member: &Member) {
        let user = self.sessions_of(user);
        if let Err(error) = user.forget_ended(member).await {
            tracing::debug!(target: "tower_keep::session", %error, "a session that has ended is still in its user's index");
        }
    }
}

/// How far the pointers of an id are followed for this plan.
fn follower(plan: &Plan) -> Follower {
    match plan.login {
        Some(_) => Follower::Login,
        None => Follower::Request,
    }
}
