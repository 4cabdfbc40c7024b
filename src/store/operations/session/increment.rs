//! Counting in a session.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    access::{Access, Answer, Reached, field, reached},
    record::SessionState,
    session_script,
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    memory::Table,
    redis::{Command, Reply, Script},
};

pub(crate) static INCREMENT: Script = session_script!("bounds", "increment");

/// Adds to a number and answers the sum. One `EVALSHA`, never sent twice.
#[derive(Debug)]
pub(crate) struct IncrementSession {
    pub(crate) access: Access,
    pub(crate) field: Box<str>,
    pub(crate) by: i64,
}

impl IncrementSession {
    /// The sum of a stored value and `by`; `None` when it would overflow. What is no integer
    /// counts as absent.
    pub(crate) fn sum(stored: Option<&Bytes>, by: i64) -> Option<i64> {
        let stored = stored.and_then(|bytes| serde_json::from_slice::<i64>(bytes).ok());
        stored.unwrap_or(0).checked_add(by)
    }
}

impl Operation for IncrementSession {
    type Entry = SessionState;
    /// `None` when it would overflow.
    type Output = Reached<Option<i64>>;

    fn run(
        &self,
        sessions: &Table<SessionState>,
        now: Timestamp,
    ) -> Result<Self::Output, StoreError> {
        let access = &self.access;
        sessions.update(&access.key, now, |live| {
            let reached = access.reach(sessions, live, now, false);
            reached.and_then(|mut session| {
                let old = session.record.fields.get(&self.field);
                let Some(sum) = Self::sum(old, self.by) else {
                    return Reached::Here(None);
                };
                let new = Bytes::from(sum.to_string());
                let size = (session.record.size).with(&self.field, old, Some(&new));
                if session.too_large(size) {
                    return Reached::TooLarge;
                }
                session.record.size = size;
                Arc::make_mut(&mut session.record.fields).insert(self.field.clone(), new);
                session.touch(now);
                Reached::Here(Some(sum))
            })
        })
    }

    fn command(&self) -> Command {
        (self.access.growing(&INCREMENT, None))
            .arg(field(&self.field))
            .arg(self.by)
            .once()
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| match answer {
            Answer::Number(-4) => Some(None),
            Answer::Number(_) => None,
            Answer::Text(text) => {
                let sum = std::str::from_utf8(text.strip_prefix(b"=")?).ok()?;
                sum.parse().ok().map(Some)
            }
        })
    }
}
