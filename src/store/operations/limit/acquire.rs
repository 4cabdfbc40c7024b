//! Check N limits of one subject and consume from all of them, or from none.

use std::sync::Arc;

use crate::store::redis::{Command, NextReply, Reply, Script};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::{Key, Namespace},
    memory::Table,
};

use super::{
    algorithm::{self, Algorithm, Kept, Level, Limit, Outcome, PerLimit, PlaceId, Standing, Wait},
    named::{NamedBan, NamedLimit},
    state::LimitState,
    subject::Subject,
};

pub(crate) static ACQUIRE: Script = Script::new(include_str!("acquire.lua"));
pub(crate) static ACQUIRE_ONE: Script = Script::new(include_str!("acquire_one.lua"));

/// Consumes `cost` of every limit for one subject, if all of them have so much left and the
/// subject is not banned.
///
/// One `EVALSHA`. Redis: a hash (of concurrency a sorted set) a limit,
/// `{ns}:rate_limit:{{subject}}:{name}:{algorithm}:{window}`, and a hash for the ban. Memory: one
/// entry a subject.
#[derive(Debug)]
pub(crate) struct Acquire {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limits: Arc<[NamedLimit]>,
    pub(crate) ban: Option<NamedBan>,
    pub(crate) cost: u64,
    /// Who takes the place of concurrency limits.
    pub(crate) place: PlaceId,
    /// Whether some of the cost may go back: asks for [`Acquired::marks`].
    pub(crate) reserves: bool,
}

/// What came of an [`Acquire`].
#[derive(Debug)]
pub(crate) struct Acquired {
    /// One a limit, in their order.
    pub(crate) outcomes: PerLimit<Outcome>,
    /// Microseconds for which the subject is banned; 0 where it is not.
    pub(crate) banned: u64,
    /// Of an admitted reservation.
    pub(crate) marks: Option<Marks>,
}

/// What a reservation was taken of, a number of each limit: see [`Kept::refund`].
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    pub(crate) marks: PerLimit<u64>,
    /// When the states began.
    pub(crate) began: PerLimit<u64>,
}

impl Acquired {
    pub(crate) fn is_admitted(&self) -> bool {
        self.banned == 0 && self.outcomes.iter().all(|o| o.wait == Wait::None)
    }
}

impl Acquire {
    /// What follows from what was in use before the request.
    fn acquired(&self, levels: impl Iterator<Item = Level>, standing: Standing) -> Acquired {
        let limits = self.limits.iter().map(|named| named.limit);
        let limits: PerLimit<_> = limits.zip(levels).collect();
        let mut acquired = Acquired {
            outcomes: algorithm::acquire(standing.left > 0, &limits, self.cost),
            banned: standing.left,
            marks: None,
        };
        // The denial that brings a ban is told so.
        if let Some(ban) = &self.ban
            && self.cost > 0
            && !acquired.is_admitted()
            && standing.left == 0
            && standing.denials + 1 >= ban.ban.denials
        {
            acquired.banned = ban.ban.length(standing.bans);
        }
        acquired
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let subject = self.subject.text();
        let names = self.limits.iter().map(|named| &named.key_name);
        let names = names.chain(self.ban.iter().map(|ban| &ban.key_name));
        names.map(move |name| subject.key(&self.names, name))
    }
}

impl Operation for Acquire {
    type Entry = LimitState;
    type Output = Acquired;

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
            let levels: PerLimit<_> = (self.limits.iter())
                .map(|named| {
                    let kept = states.get_mut(named).map(|held| &mut held.kept);
                    Kept::level(kept, &named.limit, now, self.cost)
                })
                .collect();
            let (standing, ban_state) = match &self.ban {
                Some(ban) => {
                    let state = states.ban(&ban.key_name);
                    (ban.ban.standing(state, now), state)
                }
                None => (Standing::default(), None),
            };
            let levels_alone = levels.iter().map(|(level, _)| *level);
            let mut acquired = self.acquired(levels_alone, standing);
            let admitted = acquired.is_admitted();
            if let Some(ban) = &self.ban
                && self.cost > 0
                && !admitted
                && standing.left == 0
            {
                let (state, _) = ban.ban.deny(ban_state, now);
                states.set_ban(&ban.key_name, state, state.forgotten_at(&ban.ban));
            }
            let cost = if admitted { self.cost } else { 0 };
            let mut marks = (self.reserves && admitted && cost > 0).then(Marks::default);
            states.reserve(self.limits.len());
            let each = self.limits.iter().zip(&acquired.outcomes).zip(&levels);
            for ((named, outcome), (_, cut)) in each {
                if self.cost > 0 && (admitted || *cut) {
                    let (limit, level) = (&named.limit, outcome.level);
                    let held = states.change(named, now, |kept| {
                        Kept::charged(kept, limit, now, cost, level, self.place)
                    });
                    if let Some(marks) = &mut marks {
                        marks.marks.push(held.kept.mark(now));
                        marks.began.push(held.began);
                    }
                }
            }
            acquired.marks = marks;
            *live = states.into_live(now);
            acquired
        })
    }

    fn command(&self) -> Command {
        let keys: PerLimit<_> = self.keys().collect();
        if let Some(limit) = self.only_whole() {
            let (charge, _) = limit.charge(self.cost);
            let command = Command::script(&ACQUIRE_ONE, &keys).once();
            return command.arg(charge).arg(limit.window);
        }
        let command = Command::script(&ACQUIRE, &keys).once();
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
        let command = match &self.ban {
            Some(NamedBan { ban, .. }) => {
                let command = command.arg("ban").arg(ban.window);
                let command = command.arg(u64::from(self.cost > 0)).arg(ban.denials);
                command.arg(ban.first).arg(ban.longest)
            }
            None => command,
        };
        match self.reserves {
            true => command.arg("mark"),
            false => command,
        }
    }

    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        if self.only_whole().is_some() {
            let left = u64::try_from(reply.integer()?);
            let left = left.map_err(|_| StoreError::UnexpectedReply("a negative integer"))?;
            let level = Level {
                left,
                ..Level::default()
            };
            return Ok(self.acquired(std::iter::once(level), Standing::default()));
        }
        let mut numbers = reply.array()?;
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
        let standing = match &self.ban {
            Some(_) => Standing {
                left: numbers.next_unsigned()?,
                denials: numbers.next_unsigned()?,
                bans: numbers.next_unsigned()?,
            },
            None => Standing::default(),
        };
        let mut acquired = self.acquired(levels?.into_iter(), standing);
        if self.reserves && self.cost > 0 && acquired.is_admitted() {
            let now = numbers.next_unsigned()?;
            let mark = |(named, outcome): (&NamedLimit, &Outcome)| match named.limit.algorithm {
                Algorithm::Gcra | Algorithm::FixedWindow => now + outcome.level.left,
                Algorithm::SlidingWindow | Algorithm::Concurrency => now,
            };
            let marks = self
                .limits
                .iter()
                .zip(&acquired.outcomes)
                .map(mark)
                .collect();
            let began: Result<_, _> = (self.limits.iter())
                .map(|_| numbers.next_unsigned())
                .collect();
            acquired.marks = Some(Marks {
                marks,
                began: began?,
            });
        }
        Ok(acquired)
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            marks: PerLimit::new(),
            began: PerLimit::new(),
        }
    }
}

impl Acquire {
    /// The limit, if it is one that `acquire_one.lua` is for.
    fn only_whole(&self) -> Option<Limit> {
        match &*self.limits {
            [named] if named.limit.is_whole() && self.ban.is_none() && !self.reserves => {
                Some(named.limit)
            }
            _ => None,
        }
    }
}
