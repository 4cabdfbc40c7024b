//! Loading a session.

use std::sync::Arc;

use super::{
    access::{Access, Reached, corrupt},
    bounds::Fields,
    meta::Meta,
    pointer::Pointer,
    record::SessionState,
    reply::{next, utf8},
    rules::{Age, Lifetime},
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
    /// `None` by its layer's rules.
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) fields: Fields,
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
                lifetime: record.lifetime,
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
        let (hash, ttl) = (next(replies), next(replies));
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
        if other || session.age.is_over(&self.rules.of(session.lifetime)) {
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
        let (mut meta, mut user, mut previous, mut lifetime) = (None, None, None, None);
        let mut fields = std::collections::BTreeMap::new();
        while let Some(name) = pairs.next() {
            let (name, value) = (name.bytes()?, pairs.next_reply()?.bytes()?);
            match &*name {
                b"m" => meta = Some(value),
                b"u" => user = utf8(&value),
                b"p" => previous = utf8(&value),
                b"l" => lifetime = Lifetime::read(&value),
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
            lifetime,
            fields: Arc::new(fields),
        }))
    }
}
