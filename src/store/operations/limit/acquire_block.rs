//! Check N GCRA limits of one subject and consume from all of them, or from none; and take a block
//! of units ahead where there are plenty.

use std::sync::Arc;

use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{
    batch::Operation, clock::Timestamp, error::StoreError, key::Namespace, memory::Table,
};

use super::{
    algorithm::{self, Kept, Level, Outcome, PerLimit, PlaceId, Wait},
    named::NamedLimit,
    state::LimitState,
    subject::Subject,
};

pub(crate) static ACQUIRE_BLOCK: Script = Script::new(include_str!("acquire_block.lua"));

/// Consumes `cost` of every limit, and `block` units more if they leave each of them half. The
/// limits are [sparing](super::Limit::sparing). One `EVALSHA`, the states are those of
/// [`Acquire`](super::Acquire).
#[derive(Debug)]
pub(crate) struct AcquireBlock {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limits: Arc<[NamedLimit]>,
    pub(crate) cost: u64,
    /// 0 asks for none.
    pub(crate) block: u64,
}

/// What came of an [`AcquireBlock`].
#[derive(Debug)]
pub(crate) struct Leased {
    /// One a limit, as they are after the cost and the block.
    pub(crate) outcomes: PerLimit<Outcome>,
    pub(crate) has_block: bool,
}

impl AcquireBlock {
    fn leased(&self, levels: &[Level], has_block: bool) -> Leased {
        let limits = self.limits.iter().map(|named| named.limit);
        let limits: PerLimit<_> = limits.zip(levels.iter().copied()).collect();
        let block = if has_block { self.block } else { 0 };
        Leased {
            outcomes: algorithm::acquire(false, &limits, self.cost + block),
            has_block,
        }
    }
}

impl Operation for AcquireBlock {
    type Entry = LimitState;
    type Output = Leased;

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<Leased, StoreError> {
        let key = self.subject.text().key(&self.names, "");
        rate_limits.update(&key, now, |live| {
            let now = Timestamp::now().as_micros();
            let mut states = live.take().map(|live| live.value).unwrap_or_default();
            let levels: PerLimit<_> = (self.limits.iter())
                .map(|named| {
                    let kept = states.get_mut(named).map(|held| &mut held.kept);
                    Kept::level(kept, &named.limit, now, self.cost)
                })
                .collect();
            let alone: PerLimit<_> = levels.iter().map(|(level, _)| *level).collect();
            let plenty = |(named, level): (&NamedLimit, &Level)| {
                named.limit.spares_block(*level, self.cost, self.block)
            };
            let has_block = self.block > 0 && self.limits.iter().zip(&alone).all(plenty);
            let leased = self.leased(&alone, has_block);
            let admitted = leased.outcomes.iter().all(|o| o.wait == Wait::None);
            let each = self.limits.iter().zip(&leased.outcomes).zip(&levels);
            for ((named, outcome), (_, cut)) in each {
                if self.cost > 0 && (admitted || *cut) {
                    let (limit, level) = (&named.limit, outcome.level);
                    states.change(named, now, |kept| {
                        Kept::charged(kept, limit, now, self.cost, level, PlaceId(0))
                    });
                }
            }
            *live = states.into_live(now);
            leased
        })
    }

    fn command(&self) -> Command {
        let subject = self.subject.text();
        let key = |named: &NamedLimit| subject.key(&self.names, &named.key_name);
        let keys: PerLimit<_> = self.limits.iter().map(key).collect();
        let command = Command::script(&ACQUIRE_BLOCK, &keys).once();
        let command = command.arg(u64::from(self.block > 0));
        self.limits.iter().fold(command, |command, named| {
            let command = command.arg(named.limit.window).arg(named.limit.parts);
            let numbers = named.limit.block_numbers(self.cost, self.block);
            numbers
                .into_iter()
                .fold(command, |command, (micros, parts)| {
                    command.arg(micros).arg(parts)
                })
        })
    }

    fn reply(&self, reply: Reply) -> Result<Leased, StoreError> {
        let mut numbers = reply.array()?;
        let has_block = numbers.next_unsigned()? == 1;
        let level = |_| {
            Ok(Level {
                left: numbers.next_unsigned()?,
                rest: numbers.next_unsigned()?,
                ..Level::default()
            })
        };
        let levels: Result<PerLimit<_>, StoreError> = self.limits.iter().map(level).collect();
        Ok(self.leased(&levels?, has_block))
    }
}
