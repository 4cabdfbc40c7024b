//! Looking at a session without its data.

use std::time::{Duration, SystemTime};

use super::{
    access::{Reached, corrupt},
    meta::Meta,
    pointer::Pointer,
    record::SessionState,
    reply::next,
};
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Holds,
    redis::{Command, Commands},
};

/// When a session was created and when its activity was noted last. `HGET` and `PTTL`, no write.
#[derive(Debug)]
pub(crate) struct PeekSession(pub(crate) Key);

/// A session without its data, in the store's time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peeked {
    pub(crate) created: SystemTime,
    pub(crate) touched: SystemTime,
}

impl<M: Holds<SessionState>> Batch<M> for PeekSession {
    type Output = Result<Reached<Peeked>, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        let time = |at: Timestamp| SystemTime::UNIX_EPOCH + Duration::from_micros(at.as_micros());
        let peeked = memory.table().get(&self.0, now, |live| match &live.value {
            SessionState::Live(record) => Reached::Here(Peeked {
                created: time(record.created),
                touched: time(record.touched),
            }),
            SessionState::Moved(pointer) => Reached::Moved(pointer.clone()),
        });
        Ok(peeked.unwrap_or(Reached::Gone))
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("HGET").key(&self.0).arg("m"));
        out.push(Command::new("PTTL").key(&self.0));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let (meta, ttl) = (next(replies), next(replies));
        let (meta, ttl) = (meta?.optional_bytes()?, ttl?.integer()?);
        let Some(meta) = meta.filter(|_| ttl > 0) else {
            return Ok(Reached::Gone);
        };
        if let Some(pointer) = Pointer::read(&meta) {
            return Ok(Reached::Moved(pointer));
        }
        Ok(Meta::read(&meta).map_or_else(corrupt, |meta| {
            let (created, touched) = meta.times();
            Reached::Here(Peeked { created, touched })
        }))
    }
}
