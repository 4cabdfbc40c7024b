//! Ending a user's session.

use std::sync::Arc;

#[cfg(feature = "redis")]
use super::super::access::{millis, utf8};
use super::{super::record::SessionState, REMEMBERED, state::IndexState};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Live, Memory, replace},
    namespace::Key,
    operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static REVOKE: Script = Script::new(include_str!("revoke.lua"));

/// Ends a session wherever it stands, for good. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct RevokeSession {
    pub(crate) place: Key,
    pub(crate) lineage: Arc<str>,
    /// The session as its place has it: its key and the hash of its id.
    pub(crate) session: Option<(Key, Box<str>)>,
}

impl RevokeSession {
    fn revoke(
        &self,
        session: Option<&mut Option<Live<SessionState>>>,
        place: &mut Option<Live<IndexState>>,
        now: Timestamp,
    ) -> Option<Box<str>> {
        match place.as_ref().map(|live| &live.value) {
            Some(IndexState::Revoked | IndexState::Index(_)) => return None,
            Some(IndexState::At(hash)) => {
                let known = self.session.as_ref().map(|(_, hash)| hash);
                if known != Some(hash) {
                    return Some(hash.clone());
                }
            }
            None => {}
        }
        if let Some(session) = session {
            let is_it = |live: &Live<SessionState>| matches!(&live.value, SessionState::Live(record) if record.lineage == self.lineage);
            if session.as_ref().is_some_and(is_it) {
                *session = None;
            }
        }
        replace(place, IndexState::Revoked, now, REMEMBERED);
        None
    }
}

impl Operation for RevokeSession {
    /// Where the session is instead, if it has moved.
    type Output = Option<Box<str>>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let index = &memory.session_index;
        match &self.session {
            None => index.update(&self.place, now, |place| self.revoke(None, place, now)),
            // Always the session first and then its place, as a login does.
            Some((key, _)) => memory.sessions.update(key, now, |live| {
                index.update(&self.place, now, |place| {
                    self.revoke(Some(live), place, now)
                })
            })?,
        }
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let command = match &self.session {
            Some((key, _)) => Command::script(&REVOKE, &[&self.place, key]),
            None => Command::script(&REVOKE, &[&self.place]),
        };
        command
            .arg(&*self.lineage)
            .arg(self.session.as_ref().map_or("", |(_, hash)| hash))
            .arg(millis(REMEMBERED))
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        match reply.integer_or_other() {
            Ok(_) => Ok(None),
            Err(hash) => {
                let hash = utf8(&hash.bytes()?);
                hash.map(Some)
                    .ok_or(StoreError::UnexpectedReply("no place of a session"))
            }
        }
    }
}
