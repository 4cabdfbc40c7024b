//! Sources that have failed a moment ago, while a stale value could be served.

use std::{fmt, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::store::Key;

/// The values of this process whose last load has failed, and for how long no other is tried by those
/// who can do without.
///
/// The pause is a second after the first failure, and twice as long after each that follows, up to
/// half a minute. It ends with a load that succeeds. At most [`MOST`] values are remembered; what is
/// pushed out is tried again sooner.
pub(in crate::key_value) struct Failures(Cache<Key, Failed>);

#[derive(Clone, Copy)]
struct Failed {
    at: Instant,
    pause: Duration,
}

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);
/// How many values are remembered.
const MOST: usize = 1024;

impl Failures {
    /// Whether a call that has a stale value is to try a load.
    pub(super) fn may_load(&self, key: &Key) -> bool {
        let failed = self.0.get(key);
        failed.is_none_or(|failed| failed.at.elapsed() >= failed.pause)
    }

    /// A load has failed.
    pub(super) fn note(&self, key: &Key) {
        let pause = match self.0.get(key) {
            // What failed long ago is another outage.
            Some(last) if last.at.elapsed() < last.pause + LONGEST => (last.pause * 2).min(LONGEST),
            _ => FIRST,
        };
        let at = Instant::now();
        self.0.insert(key.clone(), Failed { at, pause });
    }

    /// A load has succeeded.
    pub(super) fn forget(&self, key: &Key) {
        if !self.0.is_empty() {
            self.0.remove(key);
        }
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the keys, which may name persons.
        f.debug_struct("Failures").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::store::Namespace;

    fn key(name: &str) -> Key {
        Key::whole(&format!("{}:user:{name}", Namespace::default().as_str()))
    }

    /// How long it takes until another load may be tried.
    async fn pause(failures: &Failures, key: &Key) -> u64 {
        for seconds in 0.. {
            if failures.may_load(key) {
                return seconds;
            }
            advance(Duration::from_secs(1)).await;
        }
        unreachable!()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_half_a_minute_and_end_with_a_success() {
        let (failures, key) = (Failures::default(), key("1"));
        assert!(failures.may_load(&key));
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            failures.note(&key);
            assert_eq!(pause(&failures, &key).await, expected);
        }
        failures.note(&key);
        failures.forget(&key);
        assert!(failures.may_load(&key));
        failures.note(&key);
        assert_eq!(pause(&failures, &key).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_long_after_another_is_the_first_again() {
        let (failures, key) = (Failures::default(), key("1"));
        failures.note(&key);
        failures.note(&key);
        advance(LONGEST * 3).await;
        failures.note(&key);
        assert_eq!(pause(&failures, &key).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_remembered_than_the_bound() {
        let failures = Failures::default();
        for n in 0..MOST * 10 {
            failures.note(&key(&n.to_string()));
        }
        assert!(failures.0.len() <= MOST, "{}", failures.0.len());
    }
}
