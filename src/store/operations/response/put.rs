//! Storing a variant.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Generation, response_script,
    set::{ResponseSet, StoredVariant},
    version::{Recency, Replaces, Version},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, Reply, Script},
};

pub(crate) static PUT: Script = response_script!("store");

/// Stores a variant of the generation, or only its new head, if it may replace what is there;
/// whether it was. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) key: Key,
    pub(crate) generation: Generation,
    pub(crate) variant: Box<str>,
    /// What it will be known by.
    pub(crate) version: Version,
    pub(crate) replaces: Replaces,
    pub(crate) recency: Recency,
    /// The names that the response's `Vary` lists, joined by commas.
    pub(crate) vary: Box<str>,
    pub(crate) head: Bytes,
    /// `None` keeps the body that is there.
    pub(crate) body: Option<Bytes>,
    pub(crate) ttl: Duration,
    /// The oldest variants above so many are dropped.
    pub(crate) most_variants: usize,
}

impl Operation for Put {
    type Entry = ResponseSet;
    type Output = bool;

    /// The oldest variants make room for the new one. One for which there is none even so is an
    /// error, and leaves the others as they are.
    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<bool, StoreError> {
        let head = Bytes::copy_from_slice(&self.head);
        let body = self.body.as_deref().map(Bytes::copy_from_slice);
        let room = responses.largest();
        responses.complete(&self.key, now, |live| {
            let announced = live.as_mut().map(|live| &mut live.value);
            let Some(set) =
                announced.filter(|set| set.generation.as_ref() == Some(&self.generation))
            else {
                return Ok(false);
            };
            // One that no lookup finds by its list of names is not there.
            let is_listed = set.vary.contains(&self.vary);
            let current = set.variant(&self.variant, now).filter(|_| is_listed);
            if current.is_some_and(|stored| stored.version == self.version) {
                return Ok(true);
            }
            let allowed = self.replaces.allows(
                self.recency,
                current.map(|stored| (stored.version, stored.recency)),
            );
            let body = body.or_else(|| current.map(|stored| stored.body.clone()));
            if current.is_none() {
                set.variants.retain(|stored| stored.variant != self.variant);
            }
            set.settle(now);
            let stored = match body {
                Some(body) if allowed => self.store(set, head, body, now, room),
                _ => Ok(false),
            };
            ResponseSet::expire(live, now);
            stored
        })?
    }

    fn command(&self) -> Command {
        let (seen, rule) = match self.replaces {
            Replaces::Only(seen) => (Some(seen), "seen"),
            Replaces::NotNewer { seen } => (seen, "newer"),
        };
        let command = Command::script(&PUT, &[&self.key])
            .arg(&*self.generation.0)
            .arg(&*self.variant)
            .arg(self.version.to_string())
            .arg(seen.map_or_else(String::new, |seen| seen.to_string()))
            .arg(rule)
            .arg(self.recency.0)
            .arg(self.recency.1)
            .millis(self.ttl)
            .arg(&*self.vary)
            .arg(super::set::MOST_VARY_LISTS)
            .arg(self.most_variants.max(1))
            .arg(&*self.head);
        match &self.body {
            Some(body) => command.arg(&**body),
            None => command,
        }
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

impl Put {
    fn store(
        &self,
        set: &mut ResponseSet,
        head: Bytes,
        body: Bytes,
        now: Timestamp,
        room: usize,
    ) -> Result<bool, StoreError> {
        let new = StoredVariant {
            variant: self.variant.clone(),
            version: self.version,
            recency: self.recency,
            head,
            body,
            expires_at: now.saturating_add(self.ttl),
        };
        set.variants.retain(|stored| stored.expires_at > now);
        if !set.add(new, &self.vary, self.most_variants.max(1), room) {
            return Err(StoreError::NoRoom);
        }
        Ok(true)
    }
}
