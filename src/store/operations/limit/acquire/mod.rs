//! Check N limits of one subject and consume from all of them, or from none.

mod each;
mod memory;
mod redis;

use std::sync::Arc;

pub(crate) use each::{AcquireEach, Said};
pub(super) use redis::{ACQUIRE, ACQUIRE_ONE};

use super::{
    algorithm::{self, Level, Limit, Outcome, PerLimit, PlaceId, Standing, Wait},
    named::{NamedBan, NamedLimit},
    state::LimitState,
    subject::Subject,
};
use crate::store::redis::{Command, Reply};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::{Key, Namespace},
    memory::Table,
};

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
    /// Whether a denial is one more on the way to a ban.
    pub(crate) counts_denial: bool,
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

/// What a reservation was taken of, a number of each limit: see
/// [`Kept::refund`](super::algorithm::Kept::refund).
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    pub(crate) marks: PerLimit<u64>,
    /// When the states began.
    pub(crate) began: PerLimit<u64>,
}

impl Acquired {
    /// Whether these limits admit the request, and no ban stands in its way.
    pub(crate) fn is_admitted(&self) -> bool {
        self.banned == 0 && self.outcomes.iter().all(|o| o.wait == Wait::None)
    }
}

impl Acquire {
    /// What follows from what was in use before the request. One that is refused elsewhere is told
    /// what these limits say, and consumes nothing.
    fn acquired(&self, levels: &[Level], standing: Standing, refused: bool) -> Acquired {
        let limits = self.limits.iter().map(|named| named.limit);
        let limits: PerLimit<_> = limits.zip(levels.iter().copied()).collect();
        let mut acquired = Acquired {
            outcomes: algorithm::acquire(refused || standing.left > 0, &limits, self.cost),
            banned: standing.left,
            marks: None,
        };
        // The denial that brings a ban is told so.
        if let Some(ban) = &self.ban
            && self.cost > 0
            && self.counts_denial
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

    /// The key of the subject's entry on embedded memory.
    fn entry(&self) -> Key {
        self.subject.text().key(&self.names, "")
    }

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

impl Operation for Acquire {
    type Entry = LimitState;
    type Output = Acquired;

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<Acquired, StoreError> {
        rate_limits.update(&self.entry(), now, |live| {
            // Under the lock, so that a thread that was held up before it does not turn the
            // clock back for what others have consumed meanwhile.
            let now = Timestamp::now().as_micros();
            let mut states = live.take().map(|live| live.value).unwrap_or_default();
            let seen = self.see(&mut states, now);
            let mut acquired = self.acquired(&seen.levels, seen.standing, false);
            let admitted = acquired.is_admitted();
            acquired.marks = self.commit(&mut states, now, &seen, &acquired, admitted);
            *live = states.into_live(now);
            acquired
        })
    }

    fn command(&self) -> Command {
        if let Some(limit) = self.only_whole() {
            let keys: PerLimit<_> = self.keys().collect();
            let (charge, _) = limit.charge(self.cost);
            let command = Command::script(&ACQUIRE_ONE, &keys).once();
            return command.arg(charge).arg(limit.window);
        }
        redis::command(std::slice::from_ref(self), self.reserves)
    }

    fn reply(&self, reply: Reply) -> Result<Acquired, StoreError> {
        if self.only_whole().is_some() {
            let left = u64::try_from(reply.integer()?);
            let left = left.map_err(|_| StoreError::UnexpectedReply("a negative integer"))?;
            let level = Level {
                left,
                ..Level::default()
            };
            return Ok(self.acquired(&[level], Standing::default(), false));
        }
        let mut numbers = reply.array()?;
        let (levels, standing) = self.read(&mut numbers)?;
        let mut acquired = self.acquired(&levels, standing, false);
        if self.reserves && self.cost > 0 && acquired.is_admitted() {
            let now = redis::read_time(&mut numbers)?;
            acquired.marks = Some(self.read_marks(&acquired, now, &mut numbers)?);
        }
        Ok(acquired)
    }
}
