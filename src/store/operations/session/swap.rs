//! Changing or removing a value only if it is still what it was.

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
    memory::{Table, exact},
    redis::{Command, Reply, Script},
};

pub(crate) static SWAP: Script = session_script!("bounds", "swap");

/// Compare-and-set of one field, by its stored bytes. One `EVALSHA`, never sent twice.
#[derive(Debug)]
pub(crate) struct SwapSession {
    pub(crate) access: Access,
    pub(crate) field: Box<str>,
    pub(crate) expected: Option<Bytes>,
    /// `None` removes the field.
    pub(crate) value: Option<Bytes>,
}

/// How a compare-and-set went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    Done,
    /// Another value is there.
    Conflict(Option<Bytes>),
}

impl Operation for SwapSession {
    type Entry = SessionState;
    type Output = Reached<Swap>;

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
                if old != self.expected.as_ref() {
                    return Reached::Here(Swap::Conflict(old.cloned()));
                }
                let size = (session.record.size).with(&self.field, old, self.value.as_ref());
                if session.too_large(size) {
                    return Reached::TooLarge;
                }
                session.record.size = size;
                let fields = Arc::make_mut(&mut session.record.fields);
                match &self.value {
                    Some(value) => fields.insert(self.field.clone(), exact(value)),
                    None => fields.remove(&self.field),
                };
                session.touch(now);
                Reached::Here(Swap::Done)
            })
        })
    }

    fn command(&self) -> Command {
        let command = (self.access.growing(&SWAP, None))
            .arg(field(&self.field))
            .arg(self.value.as_deref().unwrap_or_default());
        match &self.expected {
            Some(expected) => command.arg(&**expected),
            None => command,
        }
        .once()
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |answer| match answer {
            Answer::Number(1) => Some(Swap::Done),
            Answer::Number(_) => None,
            Answer::Text(text) => match text.split_first()? {
                (b'=', _) => Some(Swap::Conflict(Some(text.slice(1..)))),
                (b'-', []) => Some(Swap::Conflict(None)),
                _ => None,
            },
        })
    }
}
