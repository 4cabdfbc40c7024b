//! Noting a session in the index of its user.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::state::{IndexState, Listed, Member, members, since_epoch};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table},
    redis::{Command, NextReply, Reply, Script},
};

pub(crate) static ENTER: Script = Script::new(include_str!("enter.lua"));

/// Notes a session before it is stored. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct EnterIndex {
    pub(crate) key: Key,
    pub(crate) member: Member,
    /// The most sessions of the user.
    pub(crate) most: usize,
    pub(crate) absolute: Duration,
    /// `None` where its user does not log in now, and only its timeout is another.
    pub(crate) device: Option<Arc<str>>,
    /// Whether to mark the oldest where there are too many.
    pub(crate) evicts: bool,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is noted. Those are to be ended.
    Noted(Vec<Member>),
    /// There are too many, which these are. Nothing was changed.
    Full(Vec<Member>),
    /// The session is itself to be ended.
    Condemned,
}

impl EnterIndex {
    fn enter(&self, live: &mut Option<Live<IndexState>>, now: Timestamp) -> Entered {
        let until = now.saturating_add(self.absolute);
        let now = since_epoch(now);
        let mut entry = Listed {
            slot: self.member.slot,
            bound: now,
            ends: since_epoch(until),
            condemned: false,
            device: self.device.clone().unwrap_or_default(),
        };
        let state = live.get_or_insert(Live {
            value: IndexState::Index(BTreeMap::new()),
            expires_at: until,
        });
        let IndexState::Index(entries) = &mut state.value else {
            return Entered::Condemned;
        };
        let is_known = match entries.get(&self.member.lineage) {
            Some(known) if known.condemned => return Entered::Condemned,
            Some(known) => {
                entry.ends = entry.ends.max(known.ends);
                if self.device.is_none() {
                    entry.bound = known.bound;
                    entry.device = known.device.clone();
                }
                true
            }
            None => false,
        };
        let mut condemned = Vec::new();
        if entries.len() >= self.most {
            let is_live = |entry: &Listed| entry.ends > now && !entry.condemned;
            let mut order: Vec<_> = (entries.iter())
                .filter(|(_, entry)| is_live(entry))
                .map(|(lineage, entry)| (entry.bound, member(lineage, entry)))
                .collect();
            let excess = match is_known {
                true => 0,
                false => (order.len() + 1).saturating_sub(self.most),
            };
            if excess > 0 && !self.evicts {
                return Entered::Full(order.into_iter().map(|(_, member)| member).collect());
            }
            entries.retain(|_, entry| entry.ends > now);
            condemned.extend(
                (entries.iter())
                    .filter(|(_, entry)| entry.condemned)
                    .map(|(lineage, entry)| member(lineage, entry)),
            );
            order.sort_by_key(|(bound, _)| *bound);
            for (_, oldest) in order.into_iter().take(excess) {
                if let Some(entry) = entries.get_mut(&oldest.lineage) {
                    entry.condemned = true;
                }
                condemned.push(oldest);
            }
        }
        entries.insert(self.member.lineage.clone(), entry);
        state.expires_at = state.expires_at.max(until);
        Entered::Noted(condemned)
    }
}

pub(super) fn member(lineage: &Arc<str>, entry: &Listed) -> Member {
    Member {
        lineage: lineage.clone(),
        slot: entry.slot,
    }
}

impl Operation for EnterIndex {
    type Entry = IndexState;
    type Output = Entered;

    fn run(&self, index: &Table<IndexState>, now: Timestamp) -> Result<Entered, StoreError> {
        index.update(&self.key, now, |live| self.enter(live, now))
    }

    fn command(&self) -> Command {
        Command::script(&ENTER, &[&self.key])
            .arg(&*self.member.lineage)
            .arg(&self.member.slot)
            .arg(self.most)
            .millis(self.absolute)
            .arg(match &self.device {
                Some(device) => format!("={device}"),
                None => String::new(),
            })
            .arg(if self.evicts { "1" } else { "" })
    }

    fn reply(&self, reply: Reply) -> Result<Entered, StoreError> {
        let mut replies = reply.array()?;
        match replies.next_integer()? {
            1 => members(&mut replies).map(Entered::Noted),
            0 => members(&mut replies).map(Entered::Full),
            _ => Ok(Entered::Condemned),
        }
    }
}
