//! Denials remembered in the process, so that repeating them costs the store nothing.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};
use tokio::time::Instant;

use crate::store::operations::limit::{
    Acquired, Level, NamedLimit, Outcome, PerLimit, Subject, Wait,
};

/// How long denials are repeated without asking again, unless the layer is told otherwise.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// Bytes that the denials of a layer may take.
const CAPACITY: u64 = 4 << 20;
/// Places in which the ends of denials are remembered.
const ENDS: usize = 1_024;
/// Of a denial beside its levels: both structs and the cache's share.
const OVERHEAD: usize = 192;

/// The denials of one layer.
///
/// A limit only becomes stricter until it has replenished, so a request that costs no less than
/// a denied one is denied until the moment that the denied one was told: counted from before the
/// question was sent, on the monotonic clock, that moment is never later here than at the store.
/// Only a reset, a refund, a raised quota or a flush can end a denial earlier. What this process does
/// of these it knows; to see those of others, one request asks the store again each time that the
/// recheck interval has passed.
pub(crate) struct LocalDenials {
    cache: Cache<Subject, Arc<Denial>, Weight>,
    recheck: Duration,
    made_at: Instant,
    /// When denials were last [ended](Self::end), in nanoseconds since `made_at`: one place for
    /// many subjects, so that they need not be remembered. A denial that was asked for before may
    /// be older than what has ended it.
    ended_at: Box<[AtomicU64; ENDS]>,
}

/// A claim to be the one that asks the store again. Dropped before the store has
/// [answered](Self::answered), because the caller has left, it lets the next one do it.
#[derive(Debug)]
pub(crate) struct Recheck {
    denial: Arc<Denial>,
    before: u64,
    claimed: u64,
    answered: bool,
}

struct Denial {
    cost: u64,
    sent_at: Instant,
    received_at: Instant,
    until: Instant,
    /// Microseconds from `sent_at` to the time at which the store is to be asked again.
    ask_after: AtomicU64,
    /// The limits as they were then: with another quota the denial says nothing.
    limits: Arc<[NamedLimit]>,
    levels: Box<[Level]>,
    /// Microseconds from `received_at` to the end of a ban; 0 without one.
    banned: u64,
}

/// What is known of a request before the store is asked.
#[derive(Debug)]
pub(crate) enum Known {
    /// It is sure to be denied so.
    Denied {
        outcomes: PerLimit<Outcome>,
        /// Microseconds for which the subject is still banned; 0 where it is not.
        banned: u64,
    },
    /// Nothing: the store is to be asked.
    Nothing,
    /// It would be denied, but it is time to ask the store again, and this request is to do it.
    Recheck(Recheck),
}

/// A denial by the store.
pub(crate) struct Denied<'a> {
    pub(crate) subject: Subject,
    pub(crate) cost: u64,
    pub(crate) limits: &'a Arc<[NamedLimit]>,
    pub(crate) acquired: &'a Acquired,
    /// Where denials bring a ban, only that is remembered, since the store has to count the
    /// others.
    pub(crate) brings_ban: bool,
    pub(crate) sent_at: Instant,
    /// The answer to a recheck takes the place of what was known before.
    pub(crate) recheck: bool,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Subject, Arc<Denial>> for Weight {
    fn weight(&self, _: &Subject, denial: &Arc<Denial>) -> u64 {
        // The limits can be of this denial alone, where the quota is of the request.
        let (levels, limits) = (&*denial.levels, &*denial.limits);
        (OVERHEAD + size_of_val(levels) + size_of_val(limits)) as u64
    }
}

impl LocalDenials {
    pub(crate) fn new(recheck: Duration) -> Self {
        Self {
            cache: Cache::with_weighter(CAPACITY as usize / OVERHEAD, CAPACITY, Weight),
            recheck,
            made_at: Instant::now(),
            ended_at: Box::new([const { AtomicU64::new(0) }; ENDS]),
        }
    }

    /// What is known of a request of `cost`, with the times of a denial counted down to `now`.
    pub(crate) fn get(
        &self,
        subject: Subject,
        cost: u64,
        limits: &Arc<[NamedLimit]>,
        now: Instant,
    ) -> Known {
        let Some(denial) = self.cache.get(&subject) else {
            return Known::Nothing;
        };
        // What is cheaper may fit, and then leaves less than the denial says.
        let cheaper = denial.banned == 0 && (1..denial.cost).contains(&cost);
        if denial.until <= now || cheaper || !denial.is_of(limits) {
            self.remove(subject, &denial);
            return Known::Nothing;
        }
        if cost == 0 || cost < denial.cost && denial.banned == 0 || !denial.foresees(cost) {
            return Known::Nothing;
        }
        if let Some(recheck) = Recheck::claim(&denial, now, self.recheck) {
            return Known::Recheck(recheck);
        }
        // Told from the moment the answer came, the latest at which it was given, so that
        // whoever waits as long as it says is not early.
        let elapsed = micros(now.saturating_duration_since(denial.received_at));
        let later =
            |(named, level): (&NamedLimit, &Level)| named.limit.later(*level, elapsed, cost);
        Known::Denied {
            outcomes: limits.iter().zip(&denial.levels).map(later).collect(),
            banned: denial.banned.saturating_sub(elapsed),
        }
    }

    /// Remembers a denial.
    pub(crate) fn put(&self, denied: Denied<'_>) {
        let Denied {
            subject,
            cost,
            limits,
            acquired: denied,
            brings_ban,
            sent_at,
            recheck,
        } = denied;
        let received_at = Instant::now();
        let longest = match denied.banned {
            0 if brings_ban => Duration::ZERO,
            0 => self.longest(cost, limits, &denied.outcomes),
            banned => Duration::from_micros(banned),
        };
        let until = sent_at.checked_add(longest);
        let Some(until) = until.filter(|until| *until > received_at) else {
            if recheck {
                self.cache.remove(&subject);
            }
            return;
        };
        let covers = |old: Arc<Denial>| {
            old.banned >= denied.banned
                && old.cost <= cost
                && old.until >= until
                && old.is_of(limits)
                && old.foresees(cost)
        };
        if recheck || !self.cache.get(&subject).is_some_and(covers) {
            let denial = Denial {
                cost,
                sent_at,
                received_at,
                until,
                ask_after: AtomicU64::new(micros(self.recheck)),
                limits: limits.clone(),
                levels: denied
                    .outcomes
                    .iter()
                    .map(|outcome| outcome.level)
                    .collect(),
                banned: denied.banned,
            };
            let denial = Arc::new(denial);
            self.cache.insert(subject, denial.clone());
            // After the insertion, so that whoever ends it meanwhile removes it or is seen here.
            let ended_at = self.ended_at(subject).load(Ordering::SeqCst);
            if ended_at > self.nanos(sent_at) {
                self.remove(subject, &denial);
            }
        }
    }

    /// How long the limits deny such a request for sure.
    fn longest(&self, cost: u64, limits: &[NamedLimit], outcomes: &[Outcome]) -> Duration {
        let wait = |(named, outcome): (&NamedLimit, &Outcome)| match outcome.wait {
            Wait::Micros(micros) if named.limit.foresees(cost, cost) => {
                Duration::from_micros(micros)
            }
            Wait::Micros(_) | Wait::None => Duration::ZERO,
            // It needs no store to be right, but the other fields that go with it do.
            Wait::Forever => self.recheck,
        };
        let waits = limits.iter().zip(outcomes).map(wait);
        waits.max().unwrap_or_default()
    }

    /// Forgets the denial of a subject, and those that are on their way: the store has admitted
    /// what it denied before, or has been told to.
    pub(crate) fn end(&self, subject: Subject) {
        let now = self.nanos(Instant::now());
        self.ended_at(subject).fetch_max(now, Ordering::SeqCst);
        self.cache.remove(&subject);
    }

    fn ended_at(&self, subject: Subject) -> &AtomicU64 {
        let [low, high, ..] = subject.digest();
        &self.ended_at[usize::from(u16::from_le_bytes([*low, *high])) % ENDS]
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.made_at);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn remove(&self, subject: Subject, denial: &Arc<Denial>) {
        self.cache
            .remove_if(&subject, |other| Arc::ptr_eq(other, denial));
    }
}

impl Denial {
    /// Whether it was told of the same limits.
    fn is_of(&self, limits: &Arc<[NamedLimit]>) -> bool {
        NamedLimit::are_same(&self.limits, limits)
    }

    /// Whether it says what a request of another cost is to be told.
    fn foresees(&self, cost: u64) -> bool {
        let foresees = |named: &NamedLimit| {
            named.limit.is_concurrency() || named.limit.foresees(self.cost, cost)
        };
        self.banned > 0 || self.limits.iter().all(foresees)
    }

    /// Sets the time at which the store is to be asked again, unless somebody else has.
    fn ask_after(&self, before: u64, after: u64) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let set = self
            .ask_after
            .compare_exchange(before, after, success, failure);
        set.is_ok()
    }
}

impl Recheck {
    /// If it is time to ask again, which one caller is told an interval.
    fn claim(denial: &Arc<Denial>, now: Instant, interval: Duration) -> Option<Self> {
        let elapsed = micros(now.saturating_duration_since(denial.sent_at));
        let before = denial.ask_after.load(Ordering::Relaxed);
        let claimed = elapsed.saturating_add(micros(interval));
        let claims = elapsed >= before && denial.ask_after(before, claimed);
        claims.then(|| Self {
            denial: denial.clone(),
            before,
            claimed,
            answered: false,
        })
    }

    /// The store has answered, or has failed to.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Recheck {
    fn drop(&mut self) {
        if !self.answered {
            self.denial.ask_after(self.claimed, self.before);
        }
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let banned = self.banned > 0;
        (f.debug_struct("Denial").field("banned", &banned)).finish_non_exhaustive()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Debug for LocalDenials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDenials")
            .field("subjects", &self.cache.len())
            .field("recheck", &self.recheck)
            .finish()
    }
}

#[cfg(test)]
mod tests;
