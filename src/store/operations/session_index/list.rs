//! Reading the index of a user.

use std::sync::Arc;

use super::state::{IndexState, Listed, text};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply},
};

/// What is noted of a user's sessions, ended ones included. One `HGETALL`.
#[derive(Debug)]
pub(crate) struct ReadIndex(pub(crate) Key);

impl Operation for ReadIndex {
    type Entry = IndexState;
    type Output = Vec<(Arc<str>, Listed)>;

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<Self::Output, StoreError> {
        let entries = index.get(&self.0, now, |live| match &live.value {
            IndexState::Index(entries) => (entries.iter())
                .map(|(lineage, entry)| (lineage.clone(), entry.clone()))
                .collect(),
            IndexState::At(_) | IndexState::Revoked => Vec::new(),
        });
        Ok(entries.unwrap_or_default())
    }

    fn command(&self) -> Command {
        Command::new("HGETALL").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        let mut pairs = reply.hash()?;
        let mut entries = Vec::with_capacity(pairs.len() / 2);
        while let Some(lineage) = pairs.next() {
            let (lineage, entry) = (lineage.bytes()?, pairs.next_reply()?.bytes()?);
            if let (Some(lineage), Some(entry)) = (text(&lineage), Listed::read(&entry)) {
                entries.push((lineage, entry));
            }
        }
        Ok(entries)
    }
}
