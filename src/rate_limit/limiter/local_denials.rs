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
    Recheck,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Subject, Arc<Denial>> for Weight {
    fn weight(&self, _: &Subject, denial: &Arc<Denial>) -> u64 {
        (OVERHEAD + size_of_val(&*denial.levels)) as u64
    }
}

impl LocalDenials {
    pub(crate) fn new(recheck: Duration) -> Self {
        Self {
            cache: Cache::with_weighter(CAPACITY as usize / OVERHEAD, CAPACITY, Weight),
            recheck,
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
        if denial.claims_recheck(now, self.recheck) {
            return Known::Recheck;
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

    /// Remembers the denial of a request that asked the store at `sent_at`. The answer to a
    /// recheck takes the place of what was known before. Where denials bring a ban, only that is
    /// remembered, since the store has to count the others.
    #[expect(clippy::too_many_arguments, reason = "all that is known of one answer")]
    pub(crate) fn put(
        &self,
        subject: Subject,
        cost: u64,
        limits: &Arc<[NamedLimit]>,
        denied: &Acquired,
        brings_ban: bool,
        sent_at: Instant,
        recheck: bool,
    ) {
        let received_at = Instant::now();
        let longest = match denied.banned {
            0 if brings_ban => Duration::ZERO,
            0 => self.longest(cost, limits, &denied.outcomes),
            banned => Duration::from_micros(banned),
        };
        let until = sent_at.checked_add(longest);
        let Some(until) = until.filter(|until| *until > received_at) else {
            if recheck {
                self.end(subject);
            }
            return;
        };
        let covers = |old: Arc<Denial>| {
            old.banned >= denied.banned
                && old.cost <= cost
                && old.until >= until
                && old.is_of(limits)
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
            self.cache.insert(subject, Arc::new(denial));
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

    /// Forgets the denial of a subject: the store has admitted what it denied before.
    pub(crate) fn end(&self, subject: Subject) {
        self.cache.remove(&subject);
    }

    fn remove(&self, subject: Subject, denial: &Arc<Denial>) {
        self.cache
            .remove_if(&subject, |other| Arc::ptr_eq(other, denial));
    }
}

impl Denial {
    /// Whether it was told of the same limits.
    fn is_of(&self, limits: &Arc<[NamedLimit]>) -> bool {
        let same = |(one, other): (&NamedLimit, &NamedLimit)| one.limit == other.limit;
        Arc::ptr_eq(&self.limits, limits)
            || self.limits.len() == limits.len() && self.limits.iter().zip(&**limits).all(same)
    }

    /// Whether it says what a request of another cost is to be told.
    fn foresees(&self, cost: u64) -> bool {
        let foresees = |named: &NamedLimit| {
            named.limit.is_concurrency() || named.limit.foresees(self.cost, cost)
        };
        self.banned > 0 || self.limits.iter().all(foresees)
    }

    /// Whether it is time to ask again, which one caller is told an interval.
    fn claims_recheck(&self, now: Instant, interval: Duration) -> bool {
        let elapsed = micros(now.saturating_duration_since(self.sent_at));
        let ask_after = self.ask_after.load(Ordering::Relaxed);
        let next = elapsed.saturating_add(micros(interval));
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        elapsed >= ask_after
            && self
                .ask_after
                .compare_exchange(ask_after, next, success, failure)
                .is_ok()
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
mod tests {
    use super::*;
    use crate::store::operations::limit::{Algorithm, Limit};

    fn subject(number: u32) -> Subject {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        Subject::new(digest)
    }

    fn limits() -> Arc<[NamedLimit]> {
        let limit = Limit::new(Algorithm::Gcra, 5, 50_000_000);
        [NamedLimit::new("units", limit)].into()
    }

    /// 2 of 5 units are left, one comes back every 10 s, and 3 were asked for.
    fn denied() -> Acquired {
        denied_with(30_000_000)
    }

    fn denied_with(left: u64) -> Acquired {
        let level = Level {
            left,
            ..Level::default()
        };
        Acquired {
            outcomes: [limits()[0].limit.later(level, 0, 3)].into_iter().collect(),
            banned: 0,
            marks: None,
        }
    }

    fn told(known: &Known) -> Option<Wait> {
        match known {
            Known::Denied { outcomes, .. } => Some(outcomes[0].wait),
            Known::Nothing | Known::Recheck => None,
        }
    }

    fn local_denials() -> LocalDenials {
        LocalDenials::new(Duration::from_secs(8))
    }

    #[tokio::test(start_paused = true)]
    async fn a_denial_ends_at_the_time_it_told_counted_from_before_it_was_asked_for() {
        let (denials, limits, sent_at) = (local_denials(), limits(), Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        denials.put(subject(1), 3, &limits, &denied(), false, sent_at, false);
        tokio::time::advance(Duration::from_secs(4)).await;
        let now = Instant::now();
        let get = |number, cost, now| told(&denials.get(subject(number), cost, &limits, now));
        // The answer may be as young as its receipt.
        assert_eq!(get(1, 3, now), Some(Wait::Micros(6_000_000)));
        assert_eq!(get(1, 5, now), Some(Wait::Micros(26_000_000)));
        assert_eq!(get(2, 3, now), None);
        assert_eq!(get(1, 3, sent_at + Duration::from_secs(10)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cheaper_request_ends_a_denial_and_one_for_nothing_does_not() {
        let (denials, limits, now) = (local_denials(), limits(), Instant::now());
        denials.put(subject(1), 3, &limits, &denied(), false, now, false);
        let get = |cost| told(&denials.get(subject(1), cost, &limits, now)).is_some();
        assert!(!get(0));
        assert!(get(3));
        assert!(!get(2));
        assert!(!get(3));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_an_interval_is_to_ask_again() {
        let (denials, limits, start) = (local_denials(), limits(), Instant::now());
        denials.put(subject(1), 3, &limits, &denied(), false, start, false);
        let get = |seconds| {
            let now = start + Duration::from_secs(seconds);
            denials.get(subject(1), 3, &limits, now)
        };
        assert!(matches!(get(7), Known::Denied { .. }));
        assert!(matches!(get(8), Known::Recheck));
        assert!(matches!(get(8), Known::Denied { .. }));
        assert!(matches!(get(9), Known::Denied { .. }));
        denials.end(subject(1));
        assert!(matches!(get(9), Known::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_recheck_is_told_replaces_what_was_known() {
        let (denials, limits, start) = (local_denials(), limits(), Instant::now());
        denials.put(subject(1), 3, &limits, &denied(), false, start, false);
        let later = start + Duration::from_secs(8);
        tokio::time::advance(Duration::from_secs(8)).await;
        let shorter = denied_with(21_000_000);
        denials.put(subject(1), 3, &limits, &shorter, false, later, true);
        let known = denials.get(subject(1), 3, &limits, later);
        assert_eq!(told(&known), Some(Wait::Micros(1_000_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_subjects_does_not_grow_them() {
        let (denials, limits) = (local_denials(), limits());
        for number in 0..100_000 {
            denials.put(
                subject(number),
                3,
                &limits,
                &denied(),
                false,
                Instant::now(),
                false,
            );
        }
        let weight = denials.cache.weight();
        assert!((CAPACITY / 2..=CAPACITY).contains(&weight), "{weight}");
        // Nor do the levels of very many policies.
        let mut many = denied();
        many.outcomes = vec![many.outcomes[0]; 1_000].into();
        let limits = vec![limits[0].clone(); 1_000].into();
        for number in 0..10_000 {
            denials.put(
                subject(number),
                3,
                &limits,
                &many,
                false,
                Instant::now(),
                false,
            );
        }
        assert!(denials.cache.weight() <= CAPACITY);
    }
}
