//! Denials remembered in the process, so that repeating them costs the store nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    algorithm::{Verdict, Wait},
    policy::Policy,
    subject::Subject,
};

const SHARDS: usize = 16;
/// Per shard; 16,384 subjects in all, about 3 MiB.
const CAPACITY: usize = 1_024;
/// How long a denial that no waiting can cure is repeated. It needs no store to be right, but
/// the other fields that go with it should not be much older.
const HOPELESS: Duration = Duration::from_secs(1);

/// The denials of one layer.
///
/// A limit only becomes stricter until it has replenished, so a request that costs no less than
/// a denied one is denied until the moment that the denied one was told: counted from before the
/// question was sent, on the monotonic clock, that moment is never later here than at the store.
#[derive(Debug)]
pub(super) struct Denials {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    denials: HashMap<Subject, Denial>,
    /// The next time at which it is worthwhile to look for expired ones.
    reclaim_at: Option<Instant>,
}

#[derive(Debug)]
struct Denial {
    cost: u64,
    until: Instant,
    received_at: Instant,
    verdicts: Box<[Verdict]>,
}

impl Default for Denials {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Denials {
    /// The denial that a request of `cost` is sure to get, with its times counted down to `now`.
    pub(super) fn get(
        &self,
        subject: Subject,
        cost: u64,
        policies: &[Policy],
        now: Instant,
    ) -> Option<Vec<Verdict>> {
        let mut shard = self.shard(subject);
        let denial = shard.denials.get(&subject)?;
        if denial.until <= now {
            shard.denials.remove(&subject);
            return None;
        }
        if cost < denial.cost {
            // It may fit, and then leaves less than the denial says.
            if cost > 0 {
                shard.denials.remove(&subject);
            }
            return None;
        }
        // Told from the moment the answer came, the latest at which it was given, so that
        // whoever waits as long as it says is not early.
        let elapsed = now.saturating_duration_since(denial.received_at);
        let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let later =
            |(policy, verdict): (&Policy, &Verdict)| policy.limit().later(verdict, elapsed, cost);
        Some(policies.iter().zip(&denial.verdicts).map(later).collect())
    }

    /// Remembers the answer to a question that was sent at `sent_at`.
    pub(super) fn put(&self, subject: Subject, cost: u64, verdicts: &[Verdict], sent_at: Instant) {
        let wait = |verdict: &Verdict| match verdict.wait {
            Wait::Micros(micros) => Some(Duration::from_micros(micros)),
            Wait::None | Wait::Forever => None,
        };
        let hopeless = verdicts.iter().any(|v| v.wait == Wait::Forever);
        let longest = verdicts.iter().filter_map(wait).max();
        let longest = longest
            .max(hopeless.then_some(HOPELESS))
            .unwrap_or_default();
        let received_at = Instant::now();
        let Some(until) = sent_at
            .checked_add(longest)
            .filter(|until| *until > received_at)
        else {
            return;
        };
        let mut shard = self.shard(subject);
        shard.make_room(received_at);
        let covers = |old: &Denial| old.cost <= cost && old.until >= until;
        if !shard.denials.get(&subject).is_some_and(covers) {
            let denial = Denial {
                cost,
                until,
                received_at,
                verdicts: verdicts.into(),
            };
            shard.denials.insert(subject, denial);
        }
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        // A digest's bytes are as good as random.
        let shard = usize::from(subject.first_byte()) % SHARDS;
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Drops what has expired, at most once a second; if that is not enough, any one.
    fn make_room(&mut self, now: Instant) {
        if self.reclaim_at.is_none_or(|at| at <= now) {
            self.denials.retain(|_, denial| denial.until > now);
            self.reclaim_at = Some(now + Duration::from_secs(1));
        }
        if self.denials.len() >= CAPACITY
            && let Some(&any) = self.denials.keys().next()
        {
            self.denials.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::subject::SubjectHasher;

    fn subject(number: u32) -> Subject {
        let mut hasher = SubjectHasher::new();
        hasher.part("", "", Some(&number.to_le_bytes()));
        hasher.finish().0
    }

    fn policies() -> Vec<Policy> {
        vec!["\"units\";q=5;w=50".parse().unwrap()]
    }

    /// 2 of 5 units are left, one comes back every 10 s, and 3 were asked for.
    fn denied() -> [Verdict; 1] {
        [Verdict {
            remaining: 2,
            reset_after: 30_000_000,
            wait: Wait::Micros(10_000_000),
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn a_denial_ends_at_the_time_it_told_counted_from_before_it_was_asked_for() {
        let (denials, policies, sent_at) = (Denials::default(), policies(), Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        denials.put(subject(1), 3, &denied(), sent_at);
        tokio::time::advance(Duration::from_secs(4)).await;
        let now = Instant::now();
        let told = denials.get(subject(1), 3, &policies, now).unwrap();
        // The answer may be as young as its receipt.
        assert_eq!(told[0].wait, Wait::Micros(6_000_000));
        let larger = denials.get(subject(1), 5, &policies, now).unwrap();
        assert_eq!(larger[0].wait, Wait::Micros(26_000_000));
        assert!(denials.get(subject(2), 3, &policies, now).is_none());
        let over = sent_at + Duration::from_secs(10);
        assert!(denials.get(subject(1), 3, &policies, over).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cheaper_request_ends_a_denial_and_one_for_nothing_does_not() {
        let (denials, policies, now) = (Denials::default(), policies(), Instant::now());
        denials.put(subject(1), 3, &denied(), now);
        assert!(denials.get(subject(1), 0, &policies, now).is_none());
        assert!(denials.get(subject(1), 3, &policies, now).is_some());
        assert!(denials.get(subject(1), 2, &policies, now).is_none());
        assert!(denials.get(subject(1), 3, &policies, now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_subjects_does_not_grow_them_and_expired_ones_make_room() {
        let denials = Denials::default();
        let held = || -> usize {
            let shards = denials.shards.iter();
            shards
                .map(|shard| shard.lock().unwrap().denials.len())
                .sum()
        };
        for number in 0..100_000 {
            denials.put(subject(number), 3, &denied(), Instant::now());
        }
        assert!(held() <= SHARDS * CAPACITY && held() > SHARDS * CAPACITY / 2);
        tokio::time::advance(Duration::from_secs(11)).await;
        for number in 0..1_000 {
            denials.put(subject(number), 3, &denied(), Instant::now());
        }
        assert_eq!(held(), 1_000);
    }
}
