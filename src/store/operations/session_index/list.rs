//! Reading the index of a user.

use std::{sync::Arc, time::Duration};

use super::state::{IndexState, Listed, since_epoch, text};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply, Script},
};

pub(crate) static LIST: Script = Script::new(include_str!("list.lua"));

/// What is noted of a user's sessions, ended ones included. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct ReadIndex(pub(crate) Key);

/// The index of a user.
#[derive(Debug)]
pub(crate) struct Index {
    /// The store's time since the epoch, in milliseconds.
    pub(crate) now: Duration,
    /// By lineage.
    pub(crate) entries: Vec<(Arc<str>, Listed)>,
}

impl Operation for ReadIndex {
    type Entry = IndexState;
    type Output = Index;

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<Index, StoreError> {
        let entries = index.get(&self.0, now, |live| match &live.value {
            IndexState::Index(entries) => (entries.iter())
                .map(|(lineage, entry)| (lineage.clone(), entry.clone()))
                .collect(),
            IndexState::At(_) | IndexState::Revoked => Vec::new(),
        });
        Ok(Index {
            now: since_epoch(now),
            entries: entries.unwrap_or_default(),
        })
    }

    fn command(&self) -> Command {
        Command::script(&LIST, &[&self.0])
    }

    fn reply(&self, reply: Reply) -> Result<Index, StoreError> {
        let mut parts = reply.array()?;
        let now = Duration::from_millis(parts.next_unsigned()?);
        let mut pairs = parts.next_reply()?.array()?;
        let mut entries = Vec::with_capacity(pairs.len() / 2);
        while let Some(lineage) = pairs.next() {
            let (lineage, entry) = (lineage.bytes()?, pairs.next_reply()?.bytes()?);
            if let (Some(lineage), Some(entry)) = (text(&lineage), Listed::read(&entry)) {
                entries.push((lineage, entry));
            }
        }
        Ok(Index { now, entries })
    }
}
