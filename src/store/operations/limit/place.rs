//! The places that requests hold of concurrency limits: kept while a request lasts, and given back.

use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    batch::Operation, clock::Timestamp, error::StoreError, key::Namespace, memory::Table,
};

use super::{
    algorithm::{Kept, PlaceId},
    named::NamedLimit,
    state::LimitState,
    subject::Subject,
};

pub(crate) static RENEW: Script = Script::new(include_str!("renew.lua"));

/// A place of one concurrency limit.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limit: NamedLimit,
    pub(crate) id: PlaceId,
}

/// Keeps a place for another window, if it is still there. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct RenewPlace(pub(crate) Place);

/// Gives a place back. One `ZREM`.
#[derive(Debug)]
pub(crate) struct ReleasePlace(pub(crate) Place);

impl Place {
    fn change<R: Default>(
        &self,
        rate_limits: &Table<LimitState>,
        now: Timestamp,
        f: impl FnOnce(&mut super::algorithm::Places, u64) -> R,
    ) -> Result<R, StoreError> {
        let key = self.subject.text().key(&self.names, "");
        rate_limits.update(&key, now, |live| {
            let Some(mut states) = live.take().map(|live| live.value) else {
                return R::default();
            };
            let mut result = R::default();
            if let Some(held) = states.get_mut(&self.limit) {
                if let Kept::Places(places) = &mut held.kept {
                    result = f(places, now.as_micros());
                }
                held.settle(&self.limit.limit);
            }
            *live = states.into_live(now.as_micros());
            result
        })
    }

    fn key(&self) -> crate::store::key::Key {
        let subject = self.subject.text();
        subject.key(&self.names, &self.limit.key_name)
    }
}

impl Operation for RenewPlace {
    /// Whether it was still there.
    type Entry = LimitState;
    type Output = bool;

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<bool, StoreError> {
        let Self(place) = self;
        let window = place.limit.limit.window;
        place.change(rate_limits, now, |places, now| {
            places.renew(place.id, now + window)
        })
    }

    fn command(&self) -> Command {
        let Self(place) = self;
        let command = Command::script(&RENEW, &[place.key()]);
        let command = command.arg(&place.id.0.to_be_bytes()[..]);
        command.arg(place.limit.limit.window)
    }

    fn reply(&self, reply: Reply) -> Result<bool, StoreError> {
        Ok(reply.integer()? == 1)
    }
}

impl Operation for ReleasePlace {
    type Entry = LimitState;
    type Output = ();

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<(), StoreError> {
        let Self(place) = self;
        place.change(rate_limits, now, |places, _| places.release(place.id))
    }

    fn command(&self) -> Command {
        let Self(place) = self;
        let command = Command::new("ZREM").key(&place.key());
        command.arg(&place.id.0.to_be_bytes()[..])
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
