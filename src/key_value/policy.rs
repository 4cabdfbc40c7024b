//! When a value is to be loaded anew: pure functions of what is known about it.

use std::time::Duration;

use crate::store::operations::value::Expiry;

/// What a call does about values that expire. Each setting is explained where it is made, on
/// [`KeyValue`](super::KeyValue).
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadPolicy {
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Duration,
    /// The part of a time to live that may be taken off, 0 to 1.
    pub(super) jitter: f64,
    /// XFetch's beta; 0 for no early refresh.
    pub(super) early_refresh: f64,
    pub(super) stale_while_revalidate: Duration,
    pub(super) stale_on_error: Duration,
    pub(super) load_timeout: Duration,
    pub(super) budget: Option<Duration>,
}

/// Whether a call takes a stale value, as its windows allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serve {
    /// One that reads.
    Fresh,
    /// One that loads.
    Windows,
}

/// What to do with a value that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    /// Give it to the caller, and load a new one in the background.
    Refresh,
    /// Load a new one, and give this one to the caller if that fails.
    UnlessLoaded,
    /// Load a new one.
    Stale,
}

/// With a beta of 1, `-ln(rand)` is above this less than once in 10^17 times.
const NEVER_SOONER: f64 = 40.0;

impl LoadPolicy {
    /// What a value may be served for after it became stale.
    pub(super) fn stale(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_on_error)
    }

    /// Whether a call reads when a value expires along with it.
    pub(super) fn reads_expiry(&self, serve: Serve) -> bool {
        !self.stale().is_zero() || serve == Serve::Windows && self.early_refresh > 0.0
    }

    /// A time to live that ends up to `jitter` of it earlier.
    pub(super) fn jittered(&self, ttl: Duration, random: impl FnOnce() -> f64) -> Duration {
        if self.jitter > 0.0 {
            let seconds = ttl.as_secs_f64() * (1.0 - self.jitter.min(1.0) * random());
            // What f64 cannot hold is longer than anything lives.
            Duration::try_from_secs_f64(seconds).unwrap_or(ttl)
        } else {
            ttl
        }
    }

    /// What to do with a value that expires at `expiry`, is stale for the last `stale` before
    /// that, and took `cost` to load. `random` gives one of 0 < x ≤ 1.
    ///
    /// Early refresh is XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
    /// Stampede Prevention, 2015): due when `now - cost * beta * ln(rand) >= expiry`.
    pub(super) fn freshness(
        &self,
        serve: Serve,
        expiry: Expiry,
        stale: Duration,
        cost: Duration,
        random: impl FnOnce() -> f64,
    ) -> Freshness {
        let Expiry::In(left) = expiry else {
            return Freshness::Fresh;
        };
        if serve == Serve::Fresh {
            return match left > stale {
                true => Freshness::Fresh,
                false => Freshness::Stale,
            };
        }
        if left > stale {
            let fresh = (left - stale).as_secs_f64();
            let gap = cost.as_secs_f64() * self.early_refresh;
            let is_due = fresh <= gap * NEVER_SOONER && gap * -random().ln() >= fresh;
            return match is_due {
                true => Freshness::Refresh,
                false => Freshness::Fresh,
            };
        }
        let stale_for = stale - left;
        if stale_for < self.stale_while_revalidate {
            Freshness::Refresh
        } else if stale_for < self.stale_on_error {
            Freshness::UnlessLoaded
        } else {
            Freshness::Stale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> LoadPolicy {
        LoadPolicy {
            ttl: SECOND * 60,
            negative_ttl: SECOND,
            jitter: 0.0,
            early_refresh: 0.0,
            stale_while_revalidate: Duration::ZERO,
            stale_on_error: Duration::ZERO,
            load_timeout: SECOND * 60,
            budget: None,
        }
    }

    fn no_random() -> f64 {
        panic!("a random number was not needed")
    }

    #[test]
    fn without_windows_a_value_is_fresh_until_it_expires() {
        let policy = policy();
        let left = Expiry::In(Duration::from_millis(1));
        let freshness = policy.freshness(Serve::Windows, left, Duration::ZERO, SECOND, || 1e-300);
        assert_eq!(freshness, Freshness::Fresh);
        let never = policy.freshness(Serve::Windows, Expiry::Never, SECOND, SECOND, no_random);
        assert_eq!(never, Freshness::Fresh);
    }

    #[test]
    fn a_stale_value_is_served_in_the_windows_of_the_call() {
        let policy = LoadPolicy {
            stale_while_revalidate: SECOND * 10,
            stale_on_error: SECOND * 60,
            ..policy()
        };
        let stale = policy.stale();
        assert_eq!(stale, SECOND * 60);
        for (left, expected) in [
            (61, Freshness::Fresh),
            (60, Freshness::Refresh),
            (51, Freshness::Refresh),
            (50, Freshness::UnlessLoaded),
            (1, Freshness::UnlessLoaded),
            (0, Freshness::Stale),
        ] {
            let expiry = Expiry::In(SECOND * left);
            let freshness = policy.freshness(Serve::Windows, expiry, stale, Duration::ZERO, || 1.0);
            assert_eq!(freshness, expected, "{left}");
        }
        for (left, expected) in [(61, Freshness::Fresh), (60, Freshness::Stale)] {
            let expiry = Expiry::In(SECOND * left);
            let freshness = policy.freshness(Serve::Fresh, expiry, stale, SECOND, no_random);
            assert_eq!(freshness, expected, "{left}");
        }
        let strict = self::policy();
        let freshness = strict.freshness(
            Serve::Windows,
            Expiry::In(SECOND * 59),
            stale,
            SECOND,
            no_random,
        );
        assert_eq!(freshness, Freshness::Stale);
    }

    #[test]
    fn an_early_refresh_is_likelier_the_closer_the_expiry_and_the_longer_the_load() {
        let policy = LoadPolicy {
            early_refresh: 1.0,
            ..policy()
        };
        let share = |left: u64, cost: u64| {
            let due = (1..=1_000).filter(|n| {
                let random = || f64::from(*n) / 1_000.0;
                let left = Expiry::In(Duration::from_millis(left));
                let cost = Duration::from_millis(cost);
                let freshness =
                    policy.freshness(Serve::Windows, left, Duration::ZERO, cost, random);
                freshness == Freshness::Refresh
            });
            due.count()
        };
        // exp(-left / cost)
        assert_eq!(share(1_000, 1_000), 367);
        assert_eq!(share(2_000, 1_000), 135);
        assert_eq!(share(1_000, 500), 135);
        assert_eq!(share(1_000, 1), 0);
        let far = policy.freshness(
            Serve::Windows,
            Expiry::In(SECOND * 60),
            Duration::ZERO,
            SECOND,
            no_random,
        );
        assert_eq!(far, Freshness::Fresh);
    }

    #[test]
    fn jitter_shortens_and_never_lengthens() {
        let policy = LoadPolicy {
            jitter: 0.1,
            ..policy()
        };
        assert_eq!(policy.jittered(SECOND * 100, || 1.0), SECOND * 90);
        assert!(policy.jittered(SECOND * 100, || 1e-9) <= SECOND * 100);
        assert_eq!(self::policy().jittered(SECOND, no_random), SECOND);
        let longest = policy.jittered(Duration::MAX, || 0.5);
        assert!(longest < Duration::MAX);
    }
}
