//! The half on Redis: what `acquire.lua` is told and what it answers.

use super::{Acquire, Acquired, Marks};
use crate::store::{
    error::StoreError,
    operations::limit::{
        algorithm::{Algorithm, Level, Outcome, PerLimit, Standing},
        named::{NamedBan, NamedLimit},
    },
    redis::{Command, NextReply, Script},
};

pub(in crate::store::operations::limit) static ACQUIRE: Script =
    Script::new(include_str!("acquire.lua"));
pub(in crate::store::operations::limit) static ACQUIRE_ONE: Script =
    Script::new(include_str!("acquire_one.lua"));

/// Asks for all in one step.
pub(super) fn command(each: &[Acquire], reserves: bool) -> Command {
    let keys: PerLimit<_> = each.iter().flat_map(Acquire::keys).collect();
    let command = Command::script(&ACQUIRE, &keys).once();
    let mut first_key = 1;
    let command = each.iter().fold(command, |command, one| {
        let command = one.arguments(command, first_key);
        first_key += one.limits.len() + usize::from(one.ban.is_some());
        command
    });
    match reserves {
        true => command.arg("mark"),
        false => command,
    }
}

/// The server's time, before the marks.
pub(super) fn read_time(numbers: &mut impl NextReply) -> Result<u64, StoreError> {
    numbers.next_unsigned()
}

impl Acquire {
    /// `first_key` is which of the script's keys is this one's first.
    fn arguments(&self, command: Command, first_key: usize) -> Command {
        let command = self.limits.iter().fold(command, |command, named| {
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
                Algorithm::SlidingWindow => {
                    let command = command.arg("sliding").arg(limit.window).arg(parts);
                    command.arg(limit.quota).arg(limit.group_width())
                }
                Algorithm::Concurrency => {
                    let command = command.arg("places").arg(limit.window).arg(parts);
                    command
                        .arg(limit.quota)
                        .arg(&self.place.0.to_be_bytes()[..])
                }
            }
        });
        match &self.ban {
            Some(NamedBan { ban, .. }) => {
                let command = command.arg("ban").arg(ban.window);
                let denial = match (self.cost, self.counts_denial) {
                    (0, _) => 0,
                    (_, true) => 1,
                    (_, false) => 2,
                };
                let command = command.arg(denial).arg(ban.denials);
                command.arg(ban.first).arg(ban.longest).arg(first_key)
            }
            None => command,
        }
    }

    /// What was in use before the request.
    pub(super) fn read(
        &self,
        numbers: &mut impl NextReply,
    ) -> Result<(PerLimit<Level>, Standing), StoreError> {
        let mut level = |named: &NamedLimit| -> Result<Level, StoreError> {
            let mut next = || numbers.next_unsigned();
            let nothing = Level::default();
            Ok(match named.limit.algorithm {
                Algorithm::Gcra if named.limit.is_whole() => Level {
                    left: next()?,
                    ..nothing
                },
                Algorithm::Gcra | Algorithm::FixedWindow => Level {
                    left: next()?,
                    rest: next()?,
                    ..nothing
                },
                Algorithm::SlidingWindow => Level {
                    left: next()?,
                    rest: next()?,
                    next: next()?,
                    wait: next()?,
                },
                Algorithm::Concurrency => Level {
                    rest: next()?,
                    ..nothing
                },
            })
        };
        let levels: Result<PerLimit<_>, _> = self.limits.iter().map(&mut level).collect();
        let levels = levels?;
        let standing = match &self.ban {
            Some(_) => Standing {
                left: numbers.next_unsigned()?,
                denials: numbers.next_unsigned()?,
                bans: numbers.next_unsigned()?,
            },
            None => Standing::default(),
        };
        Ok((levels, standing))
    }

    /// The marks of a reservation that was admitted at `now`.
    pub(super) fn read_marks(
        &self,
        acquired: &Acquired,
        now: u64,
        numbers: &mut impl NextReply,
    ) -> Result<Marks, StoreError> {
        let mark = |(named, outcome): (&NamedLimit, &Outcome)| match named.limit.algorithm {
            Algorithm::Gcra | Algorithm::FixedWindow => now + outcome.level.left,
            Algorithm::SlidingWindow | Algorithm::Concurrency => now,
        };
        let marks = self.limits.iter().zip(&acquired.outcomes).map(mark);
        let began: Result<_, _> = (self.limits.iter())
            .map(|_| numbers.next_unsigned())
            .collect();
        let marks = Marks {
            marks: marks.collect(),
            began: began?,
        };
        if self.ban.is_some() {
            // It has none.
            numbers.next_unsigned()?;
        }
        Ok(marks)
    }
}
