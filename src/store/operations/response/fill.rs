//! Announcing a fill and giving it up; and invalidating, which ends all fills.

use std::time::Duration;

use super::{Generation, response_script, set::ResponseSet};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Live, Table},
    redis::{Command, Reply, Script},
};

pub(crate) static BEGIN: Script = response_script!("begin");
pub(crate) static ABANDON: Script = response_script!("abandon");

/// Announces a fill and answers the generation that it belongs to. One EVALSHA.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) key: Key,
    pub(crate) generation: Generation,
    /// How long the fill may take.
    pub(crate) lease: Duration,
}

impl Operation for Begin {
    type Entry = ResponseSet;
    type Output = Generation;

    fn run(
        &self,
        responses: &Table<ResponseSet>,
        now: Timestamp,
    ) -> Result<Generation, StoreError> {
        responses.update(&self.key, now, |live| {
            let lapse = now.saturating_add(self.lease);
            let live = live.get_or_insert_with(|| Live {
                value: ResponseSet::default(),
                expires_at: lapse,
            });
            live.expires_at = live.expires_at.max(lapse);
            live.value.announce(lapse, now);
            live.value
                .generation
                .get_or_insert_with(|| self.generation.clone())
                .clone()
        })
    }

    fn command(&self) -> Command {
        Command::script(&BEGIN, &[&self.key])
            .arg(&*self.generation.0)
            .millis(self.lease)
    }

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
    type Entry = ResponseSet;
    type Output = ();

    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<(), StoreError> {
        responses.complete(&self.key, now, |live| {
            let announced = live.as_mut().map(|live| &mut live.value);
            let Some(set) =
                announced.filter(|set| set.generation.as_ref() == Some(&self.generation))
            else {
                return;
            };
            set.settle(now);
            ResponseSet::expire(live, now);
        })
    }

    fn command(&self) -> Command {
        Command::script(&ABANDON, &[&self.key]).arg(&*self.generation.0)
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.okay()
    }
}

/// Removes all variants and stops every fill under way; whether anything was stored. `UNLINK`.
#[derive(Debug)]
pub(crate) struct Invalidate(pub(crate) Key);

impl Operation for Invalidate {
    type Entry = ResponseSet;
    type Output = bool;

    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<bool, StoreError> {
        responses.update(&self.0, now, |live| live.take().is_some())
    }

    fn command(&self) -> Command {
        Command::new("UNLINK").key(&self.0)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? > 0)
    }
}

/// Removes variants that cannot be read, so that nothing has to be newer than they are.
/// One `HDEL`.
#[derive(Debug)]
pub(crate) struct Discard {
    pub(crate) key: Key,
    pub(crate) variants: Vec<Box<str>>,
}

impl Operation for Discard {
    type Entry = ResponseSet;
    type Output = ();

    fn run(&self, responses: &Table<ResponseSet>, now: Timestamp) -> Result<(), StoreError> {
        responses.update(&self.key, now, |live| {
            if let Some(live) = live {
                let variants = &mut live.value.variants;
                variants.retain(|stored| !self.variants.contains(&stored.variant));
            }
        })
    }

    fn command(&self) -> Command {
        let command = Command::new("HDEL").key(&self.key);
        self.variants.iter().fold(command, |command, variant| {
            command
                .arg(format!("h{variant}"))
                .arg(format!("b{variant}"))
        })
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
