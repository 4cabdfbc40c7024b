//! Loading a session.

use std::{sync::Arc, time::Duration};

use super::{
    access::{Access, Reached, Rules, corrupt, utf8},
    meta::Meta,
    pointer::Pointer,
    record::{Fields, SessionState},
};
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    memory::Holds,
    redis::{Command, Commands, NextReply, Reply},
};

/// Reads a session: `HGETALL` and `PTTL`, no script and no write. What is left of the key's life
/// tells the server's clock, and so whether a touch is due.
#[derive(Debug)]
pub(crate) struct LoadSession(pub(crate) Access);

/// A session as it was at the load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoadedSession {
    pub(crate) lineage: Arc<str>,
    /// Who is logged in.
    pub(crate) user: Option<Arc<str>>,
    /// The hash of the id before this one, as long as this one was never presented.
    pub(crate) unconfirmed: Option<Box<str>>,
    pub(crate) age: Age,
    pub(crate) fields: Fields,
}

/// How old a session is, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    /// Since it was created.
    pub(crate) session: Duration,
    /// Since it got its current id.
    pub(crate) id: Duration,
    /// Since the last activity that was noted.
    pub(crate) untouched: Duration,
    /// From its creation to its end, unless it is touched before.
    pub(crate) ends: Duration,
}

impl Age {
    fn is_over(&self, rules: &Rules) -> bool {
        self.session >= rules.absolute || self.untouched >= rules.idle
    }

    /// Whether activity after `later` more is to be noted. It need not once the session lives
    /// until its absolute timeout, by its key's expiry and by the rules of now.
    pub(crate) fn touch_due(&self, rules: &Rules, later: Duration) -> bool {
        let touched = self.session.saturating_sub(self.untouched);
        let ends = self.ends.min(touched.saturating_add(rules.idle));
        self.untouched.saturating_add(later) >= rules.touch_every && ends < rules.absolute
    }
}

impl<M: Holds<SessionState>> Batch<M> for LoadSession {
    type Output = Result<Reached<LoadedSession>, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        let Self(access) = self;
        let loaded = memory.table().get(&access.key, now, |live| {
            let record = match &live.value {
                SessionState::Live(record) => record,
                SessionState::Moved(pointer) => return Reached::Moved(pointer.clone()),
            };
            access.loaded(LoadedSession {
                lineage: record.lineage.clone(),
                user: record.user.clone(),
                unconfirmed: record.previous.clone(),
                age: Age {
                    session: now.saturating_since(record.created),
                    id: now.saturating_since(record.issued),
                    untouched: now.saturating_since(record.touched),
                    ends: live.expires_at.saturating_since(record.created),
                },
                fields: record.fields.clone(),
            })
        });
        Ok(loaded.unwrap_or(Reached::Gone))
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("HGETALL").key(&self.0.key));
        out.push(Command::new("PTTL").key(&self.0.key));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        const SHORT: StoreError = StoreError::UnexpectedReply("fewer replies than commands");
        let hash = replies.next().unwrap_or(Err(SHORT));
        let ttl = replies.next().unwrap_or(Err(SHORT));
        match hash {
            // Not one of ours, and left alone.
            Err(error) if error.to_string().contains("WRONGTYPE") => Ok(corrupt()),
            hash => self.read(hash?, ttl?.integer()?),
        }
    }
}

impl Access {
    /// Applies the rules that hold now; the session may have been stored under others.
    fn loaded(&self, session: LoadedSession) -> Reached<LoadedSession> {
        let other = (self.lineage.as_ref()).is_some_and(|lineage| *lineage != session.lineage);
        if other || session.age.is_over(&self.rules) {
            return Reached::Gone;
        }
        Reached::Here(session)
    }
}

impl LoadSession {
    fn read(&self, hash: Reply, ttl: i64) -> Result<Reached<LoadedSession>, StoreError> {
        let mut pairs = hash.hash()?;
        if pairs.len() == 0 {
            return Ok(Reached::Gone);
        }
        let (mut meta, mut user, mut previous) = (None, None, None);
        let mut fields = std::collections::BTreeMap::new();
        while let Some(name) = pairs.next() {
            let (name, value) = (name.bytes()?, pairs.next_reply()?.bytes()?);
            match &*name {
                b"m" => meta = Some(value),
                b"u" => user = utf8(&value),
                b"p" => previous = utf8(&value),
                name => {
                    let name = name.strip_prefix(b"d:");
                    if let Some(name) = name.and_then(utf8) {
                        fields.insert(name, value);
                    }
                }
            }
        }
        let meta = meta.unwrap_or_default();
        if let Some(pointer) = Pointer::read(&meta) {
            return Ok(Reached::Moved(pointer));
        }
        let Some(meta) = Meta::read(&meta) else {
            return Ok(corrupt());
        };
        // It ended between the two commands, or somebody has taken its expiry away (PERSIST).
        let Ok(left) = u64::try_from(ttl) else {
            return Ok(Reached::Gone);
        };
        Ok(self.0.loaded(LoadedSession {
            age: meta.age(left),
            lineage: meta.lineage,
            user,
            unconfirmed: previous.filter(|_| meta.unconfirmed),
            fields: Arc::new(fields),
        }))
    }
}
