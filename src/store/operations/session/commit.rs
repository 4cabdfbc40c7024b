//! Committing what a request has changed, and a new id.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    access::{Access, Alive, Answer, Reached, field, millis, reached},
    bounds::{Fields, Size},
    pointer::{Follower, Pointer, Via},
    record::{Record, SessionState},
    reply::next,
    rules::Lifetime,
    session_script,
};
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Holds, Live, Table, exact, replace},
    operations::session_index::{IndexState, is_revoked, leave, note},
    redis::{Commands, Script},
};

pub(crate) static COMMIT: Script = session_script!("resent", "bounds", "commit");

/// Applies changes to a session that still exists and, when asked, gives it a new id, all in one
/// step. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct CommitSession {
    pub(crate) access: Access,
    pub(crate) changes: Arc<Changes>,
    /// The lifetime that the session gets; `None` where it stays. With one, a touch may be due.
    pub(crate) lifetime: Option<Lifetime>,
    /// Rare, and large.
    pub(crate) renewal: Option<Box<Renewal>>,
}

/// What a request has changed; what it has not is not written.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes {
    /// All data go before `fields` is applied.
    pub(crate) cleared: bool,
    /// New values; `None` removes.
    pub(crate) fields: BTreeMap<Box<str>, Option<Bytes>>,
}

/// A new id, with the same slot tag as the old one.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    /// Who logs in. Without one the user stays the same.
    pub(crate) user: Option<Arc<str>>,
    /// The hash of the id under which the session is.
    pub(crate) old_hash: Box<str>,
    pub(crate) key: Key,
    pub(crate) id_hash: Box<str>,
    /// For how long the old id leads a login to the session that has become another user's. To that
    /// of the same user it leads until the new one is used (see `TouchSession`).
    pub(crate) grace: Duration,
    /// The lineage that the session gets when it becomes another user's.
    pub(crate) lineage: Arc<str>,
    /// Where it is noted under which id the session stands, if it has a user then.
    pub(crate) place: Option<Key>,
    /// Where that was noted for the user before, when another one logs in.
    pub(crate) old_place: Option<Key>,
}

/// The sessions, and what is noted of them: always locked in this order.
type Tables<'a> = (&'a Table<SessionState>, &'a Table<IndexState>);

/// How a commit went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// The new id, if any, was not taken.
    SameId,
    /// The new id leads to the session.
    NewId(Prospect),
    /// Likewise, and it is the session of another login at the same time.
    Joined(Prospect),
}

/// For how long a session may live that got a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prospect {
    /// Until its absolute timeout.
    pub(crate) remaining: Duration,
    /// Whether the client keeps its cookie when it is closed; `None` as its layer says.
    pub(crate) persistent: Option<bool>,
}

/// What becomes of the new id of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Keep,
    /// The session moves to the new id.
    Renew,
    /// The session stays where another login has brought it, and the new id leads there, too.
    Join,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        !self.cleared && self.fields.is_empty()
    }

    /// The size of a session with `fields` once they are applied.
    pub(crate) fn size(&self, before: Size, fields: &Fields) -> Size {
        let (before, fields) = match self.cleared {
            true => (Size::default(), None),
            false => (before, Some(fields)),
        };
        (self.fields.iter()).fold(before, |size, (name, new)| {
            size.with(
                name,
                fields.and_then(|fields| fields.get(name)),
                new.as_ref(),
            )
        })
    }

    fn apply(&self, record: &mut Record) {
        if self.is_empty() {
            return;
        }
        let stored = Arc::make_mut(&mut record.fields);
        if self.cleared {
            stored.clear();
        }
        for (name, value) in &self.fields {
            match value {
                Some(value) => stored.insert(name.clone(), exact(value)),
                None => stored.remove(name),
            };
        }
    }
}

impl Renewal {
    /// The keys of the script beside the session's own. The place of the user before comes last
    /// and only after the place.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        let places =
            (self.place.iter()).flat_map(|place| [place].into_iter().chain(&self.old_place));
        [&self.key].into_iter().chain(places)
    }

    /// The pointer under the old id, and how long it stays at most.
    fn pointer(&self, changed: bool) -> (Pointer, Duration) {
        let (leads, life) = match changed {
            true => (Follower::Login, self.grace),
            // Until the new id is used.
            false => (Follower::Request, Duration::MAX),
        };
        let id_hash = self.id_hash.clone();
        (Pointer { leads, id_hash }, life)
    }
}

impl CommitSession {
    fn commit(
        &self,
        (sessions, index): Tables<'_>,
        live: &mut Option<Live<SessionState>>,
        new: Option<&mut Option<Live<SessionState>>>,
        now: Timestamp,
    ) -> Result<Reached<Committed>, StoreError> {
        let reached = (self.access).reach(sessions, live, now, self.renewal.is_some());
        let applied = reached.and_then(|session| self.apply(index, session, now));
        let Reached::Here((plan, changed, prospect)) = applied else {
            return Ok(applied.and_then(|_| Reached::Gone));
        };
        let (Some(renewal), Some(new)) = (&self.renewal, new) else {
            return Ok(Reached::Here(Committed::SameId));
        };
        let remaining = prospect.remaining;
        match plan {
            Plan::Keep => {
                if let Some(place) = &renewal.place {
                    note(index, place, &renewal.old_hash, now, remaining)?;
                }
                return Ok(Reached::Here(Committed::SameId));
            }
            Plan::Renew => {
                if let Some(place) = &renewal.place {
                    note(index, place, &renewal.id_hash, now, remaining)?;
                }
                if let (Some(old), true) = (&renewal.old_place, changed) {
                    leave(index, old, now)?;
                }
                let (pointer, life) = renewal.pointer(changed);
                *new = live.take();
                replace(live, SessionState::Moved(pointer), now, life.min(remaining));
            }
            Plan::Join => {
                let pointer = Pointer {
                    leads: Follower::Request,
                    id_hash: renewal.old_hash.clone(),
                };
                replace(new, SessionState::Moved(pointer), now, remaining);
                return Ok(Reached::Here(Committed::Joined(prospect)));
            }
        }
        Ok(Reached::Here(Committed::NewId(prospect)))
    }

    /// Applies all but the change of keys. Answers also whether the user has changed, and for how
    /// long the session may live.
    fn apply(
        &self,
        index: &Table<IndexState>,
        mut session: Alive<'_>,
        now: Timestamp,
    ) -> Reached<(Plan, bool, Prospect)> {
        let user = self
            .renewal
            .as_ref()
            .and_then(|renewal| renewal.user.as_ref());
        let changed = user.is_some() && user != session.record.user.as_ref();
        let plan = match (&self.renewal, self.access.via) {
            (None, _) => Plan::Keep,
            (Some(_), Via::Closed) if changed => return Reached::Another,
            (Some(_), Via::Closed) => Plan::Join,
            (Some(_), Via::Old) if !changed => Plan::Keep,
            (Some(_), Via::Old | Via::Presented) => Plan::Renew,
        };
        let place = (self.renewal.as_ref()).and_then(|renewal| renewal.place.as_ref());
        if changed && place.is_some_and(|place| is_revoked(index, place, now)) {
            return Reached::Gone;
        }
        let mut changes = std::borrow::Cow::Borrowed(&*self.changes);
        if changed && session.record.user.is_some() && !changes.cleared {
            // What one user has left is not for the next.
            changes.to_mut().cleared = true;
        }
        let size = changes.size(session.record.size, &session.record.fields);
        if session.too_large(size) {
            return Reached::TooLarge;
        }
        changes.apply(session.record);
        session.record.size = size;
        // A joined session has the lifetime of the login that has brought it there.
        let lifetime = self.lifetime.filter(|_| plan != Plan::Join);
        if changed || lifetime.is_some() {
            session.live_by(lifetime, changed, now);
        }
        session.touch(now);
        if let (Plan::Renew, Some(renewal)) = (plan, &self.renewal) {
            session.record.issued = now;
            session.record.previous = (!changed).then(|| renewal.old_hash.clone());
        }
        if let (true, Some(renewal)) = (changed, &self.renewal) {
            session.record.user = user.cloned();
            session.record.lineage = renewal.lineage.clone();
        }
        let prospect = Prospect {
            remaining: session.remaining,
            persistent: session.record.lifetime.and_then(Lifetime::persistent),
        };
        Reached::Here((plan, changed, prospect))
    }
}

impl<M: Holds<SessionState> + Holds<IndexState>> Batch<M> for CommitSession {
    type Output = Result<Reached<Committed>, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        let tables: Tables<'_> = (memory.table(), memory.table());
        let (sessions, key) = (tables.0, &self.access.key);
        match &self.renewal {
            None => sessions.update(key, now, |live| self.commit(tables, live, None, now))?,
            Some(renewal) => sessions.update_pair(key, &renewal.key, now, |live, new| {
                self.commit(tables, live, Some(new), now)
            })?,
        }
    }

    fn commands(&self, out: &mut Commands) {
        let fields = &self.changes.fields;
        let sets = || (fields.iter()).filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let keys = self.renewal.iter().flat_map(|renewal| renewal.keys());
        let mut command = (self.access.growing(&COMMIT, keys))
            .arg(if self.changes.cleared { "*" } else { "" })
            .arg(self.lifetime.map(Lifetime::text).unwrap_or_default())
            .arg(2 * sets().count());
        for (name, value) in sets() {
            command = command.arg(field(name)).arg(&**value);
        }
        for (name, _) in fields.iter().filter(|(_, value)| value.is_none()) {
            command = command.arg(field(name));
        }
        let Some(renewal) = &self.renewal else {
            return out.push(command);
        };
        let command = command
            .arg(renewal.user.as_deref().unwrap_or_default())
            .arg(&*renewal.old_hash)
            .arg(&*renewal.id_hash)
            .arg(millis(renewal.grace))
            .arg(&*renewal.lineage);
        out.push(command);
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        reached(next(replies)?, |answer| match answer {
            Answer::Number(1) => Some(Committed::SameId),
            Answer::Number(_) => None,
            Answer::Text(text) => {
                let (mark, left) = text.split_first()?;
                let left = std::str::from_utf8(left).ok()?;
                let digits = left.trim_end_matches(['p', 's']);
                let prospect = Prospect {
                    remaining: Duration::from_millis(digits.parse().ok()?),
                    persistent: (left != digits).then(|| left.ends_with('p')),
                };
                match mark {
                    b'=' => Some(Committed::NewId(prospect)),
                    b'+' => Some(Committed::Joined(prospect)),
                    _ => None,
                }
            }
        })
    }
}
