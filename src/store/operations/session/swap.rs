//! Changing a value only if it is still what it was.

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
use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Memory, exact},
    operation::Operation,
};

#[cfg(feature = "redis")]
pub(crate) static SWAP: Script = session_script!("swap");

/// Compare-and-set of one field, by its stored bytes. One `EVALSHA`, never sent twice.
#[derive(Debug)]
pub(crate) struct SwapSession {
    pub(crate) access: Access,
    pub(crate) field: Box<str>,
    pub(crate) expected: Option<Bytes>,
    pub(crate) value: Bytes,
}

/// How a compare-and-set went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    Done,
    /// Another value is there.
    Conflict(Option<Bytes>),
}

impl Operation for SwapSession {
    type Output = Reached<Swap>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let access = &self.access;
        memory.sessions.update(&access.key, now, |live| {
            access.with(live, now, |mut session| {
                let fields = &mut session.record.fields;
                let current = fields.get(&self.field);
                if current != self.expected.as_ref() {
                    return Swap::Conflict(current.cloned());
                }
                Arc::make_mut(fields).insert(self.field.clone(), exact(&self.value));
                session.touch(&access.timeouts, now);
                Swap::Done
            })
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let command = (self.access.command(&SWAP, None))
            .arg(field(&self.field))
            .arg(&*self.value);
        match &self.expected {
            Some(expected) => command.arg(&**expected),
            None => command,
        }
        .once()
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |reply| match reply.next_integer()? {
            0 => Ok(Swap::Conflict(reply.next_reply()?.optional_bytes()?)),
            _ => Ok(Swap::Done),
        })
    }
}
