//! Filling: announce, store or give up; and invalidating, which ends all three.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Generation,
    set::{ResponseSet, StoredVariant},
};
#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    Key, Operation, StoreError, Timestamp,
    memory::{Live, Memory},
};

#[cfg(feature = "redis")]
pub(crate) static BEGIN: Script = Script::new(include_str!("begin.lua"));
#[cfg(feature = "redis")]
pub(crate) static PUT: Script = Script::new(include_str!("store.lua"));
#[cfg(feature = "redis")]
pub(crate) static ABANDON: Script = Script::new(include_str!("abandon.lua"));

/// Lists of `Vary` names that are kept per primary key.
const MOST_VARY_LISTS: usize = 4;

/// Announces a fill and answers the generation that it belongs to. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) key: Key,
    pub(crate) generation: Generation,
    /// How long the fill may take.
    pub(crate) lease: Duration,
}

impl Operation for Begin {
    type Output = Generation;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Generation, StoreError> {
        memory.responses.update(&self.key, now, |live| {
            let lapse = now.saturating_add(self.lease);
            let live = live.get_or_insert_with(|| Live {
                value: ResponseSet::default(),
                expires_at: lapse,
            });
            live.expires_at = live.expires_at.max(lapse);
            live.value.fills += 1;
            live.value
                .generation
                .get_or_insert_with(|| self.generation.clone())
                .clone()
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&BEGIN, &[&self.key])
            .arg(&*self.generation.0)
            .millis(self.lease)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Generation, StoreError> {
        reply.bytes().map(Generation)
    }
}

/// Takes an announcement back; the last one takes the key along if nothing is stored. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Abandon {
    pub(crate) key: Key,
    pub(crate) generation: Generation,
}

impl Operation for Abandon {
    type Output = ();

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        memory.responses.complete(&self.key, now, |live| {
            let announced = live.as_mut().map(|live| &mut live.value);
            let Some(set) =
                announced.filter(|set| set.generation.as_ref() == Some(&self.generation))
            else {
                return;
            };
            set.fills = set.fills.saturating_sub(1);
            if set.fills == 0 && set.variants.is_empty() {
                *live = None;
            }
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::script(&ABANDON, &[&self.key]).arg(&*self.generation.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}

/// Stores a variant of the generation, or only its new head; whether it was. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) key: Key,
    pub(crate) generation: Generation,
    pub(crate) variant: Box<str>,
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
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        memory.responses.complete(&self.key, now, |live| {
            let Some(live) = live else { return false };
            let set = &mut live.value;
            if set.generation.as_ref() != Some(&self.generation) {
                return false;
            }
            set.fills = set.fills.saturating_sub(1);
            let kept = || set.variant(&self.variant).map(|stored| stored.body.clone());
            let Some(body) = self.body.clone().or_else(kept) else {
                return false;
            };
            set.variants
                .retain(|stored| stored.variant != self.variant && stored.expires_at > now);
            let surplus = (set.variants.len() + 1).saturating_sub(self.most_variants);
            set.variants.drain(..surplus.min(set.variants.len()));
            set.variants.push(StoredVariant {
                variant: self.variant.clone(),
                head: self.head.clone(),
                body,
                expires_at: now.saturating_add(self.ttl),
            });
            set.vary.retain(|list| *list != self.vary);
            set.vary.insert(0, self.vary.clone());
            set.vary.truncate(MOST_VARY_LISTS);
            let latest = set.variants.iter().map(|stored| stored.expires_at).max();
            live.expires_at = latest.unwrap_or(now);
            true
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let command = Command::script(&PUT, &[&self.key])
            .arg(&*self.generation.0)
            .arg(&*self.variant)
            .millis(self.ttl)
            .arg(&*self.vary)
            .arg(self.most_variants.max(1))
            .arg(MOST_VARY_LISTS)
            .arg(&*self.head);
        match &self.body {
            Some(body) => command.arg(&**body),
            None => command,
        }
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

/// Removes all variants and stops every fill under way; whether anything was stored. `UNLINK`.
#[derive(Debug)]
pub(crate) struct Invalidate(pub(crate) Key);

impl Operation for Invalidate {
    type Output = bool;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<bool, StoreError> {
        memory
            .responses
            .update(&self.0, now, |live| live.take().is_some())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}
