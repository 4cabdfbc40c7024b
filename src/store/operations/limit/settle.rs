//! Give back what a request has reserved and did not need.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::{acquire::Marks, named::NamedLimit, state::LimitState, subject::Subject};
use crate::store::redis::{Command, Reply, Script};
use crate::store::{
    batch::Operation, clock::Timestamp, error::StoreError, key::Namespace, memory::Table,
};

pub(crate) static SETTLE: Script = Script::new(include_str!("settle.lua"));

/// Gives back `units` of a reservation to every limit that it was taken of: no more than is still
/// charged, and nothing to a state that has begun since. One `EVALSHA`, never sent twice.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limits: Arc<[NamedLimit]>,
    pub(crate) marks: Marks,
    pub(crate) units: u64,
}

impl Operation for Settle {
    type Entry = LimitState;
    type Output = ();

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<(), StoreError> {
        let key = self.subject.text().key(&self.names, "");
        rate_limits.update(&key, now, |live| {
            let Some(mut states) = live.take().map(|live| live.value) else {
                return;
            };
            let now = Timestamp::now().as_micros();
            let marks = self.marks.marks.iter().zip(&self.marks.began);
            for (named, (mark, began)) in self.limits.iter().zip(marks) {
                if let Some(held) = states.get_mut(named)
                    && held.began == *began
                {
                    held.kept.refund(&named.limit, *mark, self.units, now);
                    match held.kept.is_empty(&named.limit) {
                        true => states.remove(named),
                        false => held.settle(&named.limit),
                    }
                }
            }
            *live = states.into_live(now);
        })
    }

    fn command(&self) -> Command {
        let subject = self.subject.text();
        let key = |named: &NamedLimit| subject.key(&self.names, &named.key_name);
        let keys: Vec<_> = self.limits.iter().map(key).collect();
        let command = Command::script(&SETTLE, &keys).once();
        let marks = self.marks.marks.iter().zip(&self.marks.began);
        let each = self.limits.iter().zip(marks);
        each.fold(command, |command, (named, (mark, began))| {
            let limit = &named.limit;
            let (micros, units) = limit.charge(self.units);
            let (kind, back) = match limit.algorithm {
                Algorithm::Gcra => ("moment", micros),
                Algorithm::FixedWindow => ("fixed", units),
                Algorithm::SlidingWindow => ("sliding", units),
                Algorithm::Concurrency => ("none", 0),
            };
            let command = command.arg(kind).arg(back).arg(*mark);
            command.arg(*began).arg(limit.quota).arg(limit.window)
        })
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
