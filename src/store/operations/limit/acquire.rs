//! Rate limits: check N limits of one subject and consume from all of them, or from none.

use std::sync::Arc;

use super::{
    algorithm::{self, Algorithm, Level, Limit, Outcome, PerLimit, State, Wait},
    subject::Subject,
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Namespace,
    memory::{Live, Table, Weigh, heap},
    redis::{Command, NextReply, Reply, Script},
};

pub(crate) static ACQUIRE: Script = Script::new(include_str!("acquire.lua"));
pub(crate) static ACQUIRE_ONE: Script = Script::new(include_str!("acquire_one.lua"));

/// Consumes `cost` of every limit for one subject, if all of them have so much left.
/// Answers an outcome a limit, in their order.
///
/// One `EVALSHA`. Redis: a hash a limit, `{ns}:rate_limit:{{subject}}:{name}:{algorithm}:{window}`.
/// Memory: one entry a subject, so that one lock makes it all or nothing.
#[derive(Debug)]
pub(crate) struct Acquire {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limits: Arc<[NamedLimit]>,
    pub(crate) cost: u64,
}

/// A limit and what its states go by.
///
/// That is the policy's name, the algorithm and the window: a state means the same under any
/// quota, and nothing under another algorithm or window.
#[derive(Debug, Clone)]
pub(crate) struct NamedLimit {
    key_name: Arc<str>,
    pub(crate) limit: Limit,
}

impl NamedLimit {
    /// `name` must be safe in a key and without a colon.
    pub(crate) fn new(name: &str, limit: Limit) -> Self {
        let algorithm = match limit.algorithm {
            Algorithm::Gcra => "gcra",
            Algorithm::FixedWindow => "fixed",
        };
        let seconds = limit.window / 1_000_000;
        Self {
            key_name: format!("{name}:{algorithm}:{seconds}").into(),
            limit,
        }
    }
}

/// The states of one subject's limits on embedded memory.
#[derive(Debug, Default)]
pub(crate) struct LimitState(Vec<Held>);

#[derive(Debug)]
struct Held {
    key_name: Arc<str>,
    state: State,
    /// Until when more than half of the quota is in use.
    scarce_until: u64,
}

impl LimitState {
    fn get(&self, limit: &NamedLimit) -> Option<State> {
        let mut held = self.0.iter();
        Some(held.find(|held| held.key_name == limit.key_name)?.state)
    }

    fn set(&mut self, limit: &NamedLimit, state: State) {
        let new = Held {
            key_name: limit.key_name.clone(),
            state,
            scarce_until: limit.limit.scarce_until(state),
        };
        match self.0.iter_mut().find(|held| held.key_name == new.key_name) {
            Some(held) => *held = new,
            None => self.0.push(new),
        }
    }
}

impl Weigh for LimitState {
    /// The names are shared with the layers', of which there are a few, and count there.
    fn weight(&self) -> usize {
        heap(self.0.capacity() * size_of::<Held>())
    }

    /// Whether a limit denies, or soon would: without its state the subject would start anew.
    fn is_worth_keeping(&self, now: Timestamp) -> bool {
        (self.0.iter()).any(|held| held.scarce_until > now.as_micros())
    }
}

impl Acquire {
    /// The outcomes for what was in use before the request.
    fn outcomes(&self, levels: impl Iterator<Item = Level>) -> PerLimit<Outcome> {
        let limits = self.limits.iter().map(|named| named.limit);
        let limits: PerLimit<_> = limits.zip(levels).collect();
        algorithm::acquire(&limits, self.cost)
    }
}

impl Operation for Acquire {
    type Entry = LimitState;
    type Output = PerLimit<Outcome>;

    fn run(
        &self,
        rate_limits: &Table<LimitState>,
        now: Timestamp,
    ) -> Result<Self::Output, StoreError> {
        let key = self.subject.text().key(&self.names, "");
        rate_limits.update(&key, now, |live| {
            // Under the lock, so that a thread that was held up before it does not turn the
            // clock back for what others have consumed meanwhile.
            let now = Timestamp::now().as_micros();
            let mut states = live.take().map(|live| live.value).unwrap_or_default();
            let level = |named: &NamedLimit| named.limit.level(states.get(named), now);
            let levels: PerLimit<_> = self.limits.iter().map(level).collect();
            let outcomes = self.outcomes(levels.iter().map(|(level, _)| *level));
            let admitted = outcomes.iter().all(|outcome| outcome.wait == Wait::None);
            states
                .0
                .reserve_exact(self.limits.len().saturating_sub(states.0.len()));
            for ((named, outcome), (_, cut)) in self.limits.iter().zip(&outcomes).zip(&levels) {
                if self.cost > 0 && (admitted || *cut) {
                    let state = named.limit.state(outcome.level, states.get(named), now);
                    states.set(named, state);
                }
            }
            states.0.retain(|held| held.state.ends >= now);
            if let Some(ends) = states.0.iter().map(|held| held.state.ends).max() {
                *live = Some(Live {
                    value: states,
                    // Parts of a microsecond may be left when it ends.
                    expires_at: Timestamp::from_micros(ends + 1),
                });
            }
            outcomes
        })
    }

    fn command(&self) -> Command {
        let subject = self.subject.text();
        let key = |named: &NamedLimit| subject.key(&self.names, &named.key_name);
        let keys: Vec<_> = self.limits.iter().map(key).collect();
        if let Some(limit) = self.only_whole() {
            let (charge, _) = limit.charge(self.cost);
            let command = Command::script(&ACQUIRE_ONE, &keys).once();
            return command.arg(charge).arg(limit.window);
        }
        let command = Command::script(&ACQUIRE, &keys).once();
        self.limits.iter().fold(command, |command, named| {
            let limit = &named.limit;
            let (micros, parts) = limit.charge(self.cost);
            match limit.algorithm {
                Algorithm::Gcra if limit.is_whole() => {
                    command.arg("whole").arg(limit.window).arg(micros)
                }
                Algorithm::Gcra => {
                    let command = command.arg("parts").arg(limit.window).arg(micros);
                    command.arg(parts).arg(limit.parts)
                }
                Algorithm::FixedWindow => {
                    let command = command.arg("fixed").arg(limit.window).arg(parts);
                    command.arg(limit.quota)
                }
            }
        })
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        if self.only_whole().is_some() {
            let left = u64::try_from(reply.integer()?);
            let left = left.map_err(|_| StoreError::UnexpectedReply("a negative integer"))?;
            return Ok(self.outcomes(std::iter::once(Level { left, rest: 0 })));
        }
        let mut numbers = reply.array()?;
        let level = |named: &NamedLimit| {
            let left = numbers.next_unsigned()?;
            let rest = match named.limit.is_whole() {
                true => 0,
                false => numbers.next_unsigned()?,
            };
            Ok(Level { left, rest })
        };
        let levels: Result<PerLimit<_>, StoreError> = self.limits.iter().map(level).collect();
        Ok(self.outcomes(levels?.into_iter()))
    }
}

impl Acquire {
    /// The limit, if it is one that `acquire_one.lua` is for.
    fn only_whole(&self) -> Option<Limit> {
        match &*self.limits {
            [named] if named.limit.is_whole() => Some(named.limit),
            _ => None,
        }
    }
}
