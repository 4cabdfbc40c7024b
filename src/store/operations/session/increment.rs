//! Counting in a session.

use std::sync::Arc;

use bytes::Bytes;

use super::access::{Access, Reached};
#[cfg(feature = "redis")]
use super::{
    access::{field, reached},
    session_script,
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{clock::Timestamp, error::StoreError, memory::Memory, operation::Operation};

#[cfg(feature = "redis")]
pub(crate) static INCREMENT: Script = session_script!("increment");

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
    type Output = Reached<Option<i64>>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let access = &self.access;
        memory.sessions.update(&access.key, now, |live| {
            access.with(live, now, |mut session| {
                let fields = &mut session.record.fields;
                let sum = Self::sum(fields.get(&self.field), self.by)?;
                Arc::make_mut(fields).insert(self.field.clone(), sum.to_string().into());
                session.touch(&access.timeouts, now);
                Some(sum)
            })
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        (self.access.command(&INCREMENT, None))
            .arg(field(&self.field))
            .arg(self.by)
            .once()
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |reply| {
            let Some(sum) = reply.next_reply()?.optional_bytes()? else {
                return Ok(None);
            };
            (std::str::from_utf8(&sum).ok())
                .and_then(|sum| sum.parse().ok())
                .map(Some)
                .ok_or(StoreError::UnexpectedReply("not an integer"))
        })
    }
}
