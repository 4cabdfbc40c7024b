//! Reading the index of a user.

use std::sync::Arc;

#[cfg(feature = "redis")]
use super::super::access::utf8;
use super::state::{Entry, IndexState};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, NextReply, Reply};
use crate::store::{
    clock::Timestamp, error::StoreError, memory::Memory, namespace::Key, operation::Operation,
};

/// What is noted of a user's sessions, ended ones included. One `HGETALL`.
#[derive(Debug)]
pub(crate) struct ReadIndex(pub(crate) Key);

impl Operation for ReadIndex {
    type Output = Vec<(Arc<str>, Entry)>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let entries = memory
            .session_index
            .get(&self.0, now, |live| match &live.value {
                IndexState::Index(entries) => (entries.iter())
                    .map(|(lineage, entry)| (lineage.clone(), entry.clone()))
                    .collect(),
                IndexState::At(_) | IndexState::Revoked => Vec::new(),
            });
        Ok(entries.unwrap_or_default())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("HGETALL").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        let mut pairs = reply.hash()?;
        let mut entries = Vec::with_capacity(pairs.len() / 2);
        while let Some(lineage) = pairs.next() {
            let (lineage, entry) = (lineage.bytes()?, pairs.next_reply()?.bytes()?);
            if let (Some(lineage), Some(entry)) = (utf8(&lineage), Entry::read(&entry)) {
                entries.push((lineage, entry));
            }
        }
        Ok(entries)
    }
}
