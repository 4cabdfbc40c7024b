//! Marking sessions that are to be ended, and forgetting them once they are.

use std::sync::Arc;

use super::{
    enter::member,
    state::{IndexState, Member, members},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, Reply, Script},
};

pub(crate) static CONDEMN: Script = Script::new(include_str!("condemn.lua"));

/// Marks sessions of a user that are to be ended, and answers which they are. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct Condemn {
    pub(crate) key: Key,
    pub(crate) which: Condemned,
}

/// Which sessions are to be ended.
#[derive(Debug, Clone)]
pub(crate) enum Condemned {
    One(Arc<str>),
    AllBut(Arc<str>),
    All,
}

impl Operation for Condemn {
    type Entry = IndexState;
    type Output = Vec<Member>;

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<Vec<Member>, StoreError> {
        index.update(&self.key, now, |live| {
            let Some(IndexState::Index(entries)) = live.as_mut().map(|live| &mut live.value) else {
                return Vec::new();
            };
            let mut members = Vec::new();
            for (lineage, entry) in entries {
                let chosen = match &self.which {
                    Condemned::One(one) => one == lineage,
                    Condemned::AllBut(one) => one != lineage || entry.condemned,
                    Condemned::All => true,
                };
                if chosen {
                    entry.condemned = true;
                    members.push(member(lineage, entry));
                }
            }
            members
        })
    }

    fn command(&self) -> Command {
        let command = Command::script(&CONDEMN, &[&self.key]);
        match &self.which {
            Condemned::One(lineage) => command.arg("one").arg(&**lineage),
            Condemned::AllBut(lineage) => command.arg("others").arg(&**lineage),
            Condemned::All => command.arg("all"),
        }
    }

    fn reply(&self, reply: Reply) -> Result<Vec<Member>, StoreError> {
        members(&mut reply.array()?)
    }
}

/// Removes sessions that have ended from the index of a user, at least one. One `HDEL`.
#[derive(Debug)]
pub(crate) struct Forget {
    pub(crate) key: Key,
    pub(crate) lineages: Vec<Arc<str>>,
}

impl Operation for Forget {
    type Entry = IndexState;
    type Output = ();

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<(), StoreError> {
        index.update(&self.key, now, |live| {
            if let Some(IndexState::Index(entries)) = live.as_mut().map(|live| &mut live.value) {
                entries.retain(|lineage, _| !self.lineages.contains(lineage));
                if entries.is_empty() {
                    *live = None;
                }
            }
        })
    }

    fn command(&self) -> Command {
        let command = Command::new("HDEL").key(&self.key);
        (self.lineages.iter()).fold(command, |command, lineage| command.arg(&**lineage))
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
