//! Loading a session.

use std::{sync::Arc, time::Duration};

use super::{
    access::{Access, Reached},
    record::Fields,
};
#[cfg(feature = "redis")]
use super::{
    access::{reached, text},
    session_script,
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{clock::Timestamp, error::StoreError, memory::Memory, operation::Operation};

#[cfg(feature = "redis")]
pub(crate) static LOAD: Script = session_script!("load");

/// Reads a session and notes the activity, throttled. One `EVALSHA`, on which the server calls
/// `TIME`, `HMGET`, `HGETALL`, and `HSET` and `PEXPIRE` when a touch is due.
#[derive(Debug)]
pub(crate) struct LoadSession(pub(crate) Access);

/// A session as it was at the load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoadedSession {
    pub(crate) lineage: Arc<str>,
    /// Since it got its current id.
    pub(crate) id_age: Duration,
    /// Until the absolute timeout.
    pub(crate) remaining: Duration,
    pub(crate) fields: Fields,
}

impl Operation for LoadSession {
    type Output = Reached<LoadedSession>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let Self(access) = self;
        memory.sessions.update(&access.key, now, |live| {
            access.with(live, now, |mut session| {
                session.touch(&access.timeouts, now);
                LoadedSession {
                    lineage: session.record.lineage.clone(),
                    id_age: now.saturating_since(session.record.issued),
                    remaining: session.remaining,
                    fields: session.record.fields.clone(),
                }
            })
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        self.0.command(&LOAD, None)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reached(reply, |reply| {
            Ok(LoadedSession {
                lineage: text(reply.next_reply()?)?.unwrap_or_default().into(),
                id_age: Duration::from_micros(reply.next_unsigned()?),
                remaining: Duration::from_micros(reply.next_unsigned()?),
                fields: fields(reply.next_reply()?)?,
            })
        })
    }
}

/// The data in the pairs of `HGETALL`.
#[cfg(feature = "redis")]
fn fields(reply: Reply) -> Result<Fields, StoreError> {
    let mut pairs = reply.array()?;
    let mut fields = std::collections::BTreeMap::new();
    while let Some(name) = pairs.next() {
        let value = pairs.next_reply()?.bytes()?;
        let name = text(name)?;
        if let Some(name) = name.as_deref().and_then(|name| name.strip_prefix("d:")) {
            fields.insert(name.into(), value);
        }
    }
    Ok(Arc::new(fields))
}
