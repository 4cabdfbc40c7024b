//! Ending a user's session.

use std::{sync::Arc, time::Duration};

use super::{
    access::millis,
    record::SessionState,
    reply::{next, utf8},
};
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Holds, Live, Table, replace},
    operations::session_index::IndexState,
    redis::{Command, Commands, Script},
};

/// For how long it is remembered that a session was revoked: longer than a command that would
/// store it can be under way. One that is stored has its place as long as it may live, and what is
/// remembered of it ends no later.
const REMEMBERED: Duration = Duration::from_secs(600);

pub(crate) static REVOKE: Script = Script::new(include_str!("revoke.lua"));

/// Ends a session wherever it stands, for good. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct RevokeSession {
    pub(crate) place: Key,
    pub(crate) lineage: Arc<str>,
    /// The session as its place has it: its key and the hash of its id.
    pub(crate) session: Option<(Key, Box<str>)>,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// It was there, and was ended; now, or by a revocation that was not done with it.
    Ended,
    /// It had ended by itself, or was not stored yet and will not be.
    Absent,
    /// It has moved to the id with this hash.
    Moved(Box<str>),
}

impl RevokeSession {
    fn revoke(
        &self,
        session: Option<&mut Option<Live<SessionState>>>,
        place: &mut Option<Live<IndexState>>,
        now: Timestamp,
    ) -> Revoked {
        let mut remembered = REMEMBERED;
        if let Some(live) = place {
            match &live.value {
                IndexState::Revoked | IndexState::Index(_) => return Revoked::Ended,
                IndexState::At(hash) => {
                    let known = self.session.as_ref().map(|(_, hash)| hash);
                    if known != Some(hash) {
                        return Revoked::Moved(hash.clone());
                    }
                }
            }
            remembered = remembered.min(live.expires_at.saturating_since(now));
        }
        let mut revoked = Revoked::Absent;
        if let Some(session) = session {
            let is_it = |live: &Live<SessionState>| matches!(&live.value, SessionState::Live(record) if record.lineage == self.lineage);
            if session.as_ref().is_some_and(is_it) {
                *session = None;
                revoked = Revoked::Ended;
            }
        }
        replace(place, IndexState::Revoked, now, remembered);
        revoked
    }
}

impl<M: Holds<SessionState> + Holds<IndexState>> Batch<M> for RevokeSession {
    type Output = Result<Revoked, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        let (sessions, index): (&Table<SessionState>, &Table<IndexState>) =
            (memory.table(), memory.table());
        match &self.session {
            None => index.update(&self.place, now, |place| self.revoke(None, place, now)),
            // Always the session first and then its place, as a login does.
            Some((key, _)) => sessions.update(key, now, |live| {
                index.update(&self.place, now, |place| {
                    self.revoke(Some(live), place, now)
                })
            })?,
        }
    }

    fn commands(&self, out: &mut Commands) {
        let command = match &self.session {
            Some((key, _)) => Command::script(&REVOKE, &[&self.place, key]),
            None => Command::script(&REVOKE, &[&self.place]),
        };
        out.push(
            command
                .arg(&*self.lineage)
                .arg(self.session.as_ref().map_or("", |(_, hash)| hash))
                .arg(millis(REMEMBERED)),
        );
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let reply = next(replies)?;
        match reply.integer_or_other() {
            Ok(0) => Ok(Revoked::Absent),
            Ok(_) => Ok(Revoked::Ended),
            Err(hash) => {
                let hash = utf8(&hash.bytes()?);
                hash.map(Revoked::Moved)
                    .ok_or(StoreError::UnexpectedReply("no place of a session"))
            }
        }
    }
}
