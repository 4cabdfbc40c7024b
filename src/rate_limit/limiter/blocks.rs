//! Units that this process has taken ahead, to be spent without asking the store.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::store::operations::limit::{Level, NamedLimit, Outcome, PerLimit, Subject};

/// Subjects whose blocks are remembered: the busiest.
const SUBJECTS: usize = 10_000;

/// What share of a quota blocks may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BlockShare(f64);

/// The blocks of one limiter.
pub(crate) struct Blocks {
    subjects: Cache<Subject, Arc<Mutex<Holding>>>,
}

/// What is known of one subject.
struct Holding {
    asked_at: Instant,
    /// Units spent since the last block was given, or asked for one by one.
    used: u64,
    /// A question that asks for a block is under way.
    asking: bool,
    block: Option<Block>,
}

struct Block {
    limits: Arc<[NamedLimit]>,
    outcomes: PerLimit<Outcome>,
    received_at: Instant,
    until: Instant,
    units: u64,
}

/// A question that asks for a block. Only one at a time does, for each subject.
#[derive(Debug)]
pub(crate) struct BlockWanted {
    holding: Arc<Mutex<Holding>>,
    pub(crate) units: u64,
    until: Instant,
}

impl BlockShare {
    /// `None` where it is no share, or more than a tenth.
    pub(crate) fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 0.1).then_some(Self(share))
    }

    /// The limit with what blocks may be late kept back. A quota that has no block of one unit
    /// stays whole.
    pub(crate) fn sparing(self, named: &NamedLimit) -> NamedLimit {
        let quota = named.limit.quota as f64;
        let spare = match self.largest(named) {
            0 => 0,
            _ => (quota * self.0).ceil() as u64,
        };
        named.with_limit(named.limit.sparing(spare))
    }

    fn largest(self, named: &NamedLimit) -> u64 {
        (named.limit.quota as f64 * self.0).floor() as u64
    }

    /// For how long a block may be spent, from before it was asked for.
    fn lifetime(self, limits: &[NamedLimit]) -> Duration {
        let windows = limits.iter().map(|named| named.limit.window);
        let micros = windows.min().unwrap_or(0) as f64 * self.0;
        Duration::from_micros(micros as u64)
    }
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self {
            subjects: Cache::new(SUBJECTS),
        }
    }

    /// Spends of the subject's block, if it is there and large enough.
    pub(crate) fn spend(
        &self,
        subject: Subject,
        cost: u64,
        limits: &Arc<[NamedLimit]>,
        now: Instant,
    ) -> Option<PerLimit<Outcome>> {
        let holding = self.subjects.get(&subject)?;
        let mut holding = lock(&holding);
        let block = holding.block.as_mut()?;
        if now >= block.until || block.units < cost || !NamedLimit::are_same(&block.limits, limits)
        {
            return None;
        }
        block.units -= cost;
        let (elapsed, units) = (
            now.saturating_duration_since(block.received_at),
            block.units,
        );
        let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let later = |(named, outcome): (&NamedLimit, &Outcome)| {
            let level: Level = outcome.level;
            let mut outcome = named.limit.later(level, elapsed, 0);
            // What is left of the block is left to this subject.
            outcome.remaining += units;
            outcome
        };
        let outcomes = limits.iter().zip(&block.outcomes).map(later).collect();
        holding.used += cost;
        Some(outcomes)
    }

    /// The block that is to be asked for with a request: none before a subject's second request
    /// within the time in which a block is spent, and no more than twice what was used last.
    pub(crate) fn wanted(
        &self,
        share: BlockShare,
        subject: Subject,
        cost: u64,
        limits: &[NamedLimit],
        now: Instant,
    ) -> Option<BlockWanted> {
        let largest = limits.iter().map(|named| share.largest(named)).min()?;
        if largest == 0 {
            return None;
        }
        let lifetime = share.lifetime(limits);
        let Some(holding) = self.subjects.get(&subject) else {
            let holding = Holding {
                asked_at: now,
                used: cost,
                asking: false,
                block: None,
            };
            self.subjects.insert(subject, Arc::new(Mutex::new(holding)));
            return None;
        };
        let mut known = lock(&holding);
        let before = std::mem::replace(&mut known.asked_at, now);
        if now.saturating_duration_since(before) >= lifetime {
            known.used = cost;
            return None;
        }
        if known.asking
            || known
                .block
                .as_ref()
                .is_some_and(|b| b.units > 0 && now < b.until)
        {
            return None;
        }
        let units = known
            .used
            .saturating_add(cost)
            .saturating_mul(2)
            .min(largest);
        known.asking = true;
        drop(known);
        Some(BlockWanted {
            holding,
            units,
            until: now.checked_add(lifetime)?,
        })
    }

    /// Forgets the block of a subject whose counts begin anew.
    pub(crate) fn forget(&self, subject: Subject) {
        self.subjects.remove(&subject);
    }
}

impl BlockWanted {
    /// Takes over the block that the store has given.
    pub(crate) fn given(&self, limits: &Arc<[NamedLimit]>, outcomes: &PerLimit<Outcome>) {
        let mut holding = lock(&self.holding);
        holding.used = 0;
        holding.block = Some(Block {
            limits: limits.clone(),
            outcomes: outcomes.clone(),
            received_at: Instant::now(),
            until: self.until,
            units: self.units,
        });
    }
}

impl Drop for BlockWanted {
    fn drop(&mut self) {
        lock(&self.holding).asking = false;
    }
}

fn lock(holding: &Mutex<Holding>) -> MutexGuard<'_, Holding> {
    holding.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.block.as_ref().map(|block| block.units);
        f.debug_struct("Holding").field("units", &units).finish()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects = self.subjects.len();
        f.debug_struct("Blocks")
            .field("subjects", &subjects)
            .finish()
    }
}
