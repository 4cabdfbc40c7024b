//! The arithmetic of the limits: pure functions over a state, a time and a cost.
//!
//! No clock, no storage, only integers: microseconds below 2^53, because
//! `src/store/operations/limit/acquire.lua` does the same in doubles, line by line. Both algorithms keep
//! their state as a point in time, after which it is as good as absent, and a count:
//!
//! | | `ends` | `count` | `interval` |
//! |---|---|---|---|
//! | GCRA | the theoretical arrival time | 0 | the emission interval |
//! | fixed window | the window's end | the units consumed in it | the window |

/// How a quota is enforced over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// The generic cell rate algorithm (ITU-T I.371), equivalent to a token bucket: the quota
    /// is the burst, and its units come back one by one, evenly over the window. `alg=gcra`.
    #[default]
    Gcra,
    /// The first request opens a window; the quota is whole again when the window ends.
    /// Across a boundary up to twice the quota may pass within one window's length. `alg=fixed`.
    FixedWindow,
}

/// One limit in the numbers that the arithmetic needs. `interval` is in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    pub(crate) algorithm: Algorithm,
    pub(crate) quota: u64,
    pub(crate) interval: u64,
}

/// What is stored of a limit between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) ends: u64,
    pub(crate) count: u64,
}

/// How long a request has to wait for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It fits.
    None,
    /// It fits after so many microseconds, if nobody else consumes anything.
    Micros(u64),
    /// It costs more than the whole quota.
    Forever,
}

/// What one limit says to a request; times in microseconds from the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Units left after the request: it has consumed its cost only if all limits admitted it.
    pub(crate) remaining: u64,
    /// Until the quota is whole again.
    pub(crate) reset_after: u64,
    pub(crate) wait: Wait,
}

impl Limit {
    /// The furthest that a state can reach ahead of the clock.
    fn span(&self) -> u64 {
        match self.algorithm {
            Algorithm::Gcra => self.quota * self.interval,
            Algorithm::FixedWindow => self.interval,
        }
    }

    fn remaining(&self, reset_after: u64, count: u64) -> u64 {
        match self.algorithm {
            Algorithm::Gcra => self.span().saturating_sub(reset_after) / self.interval,
            Algorithm::FixedWindow => self.quota.saturating_sub(count),
        }
    }

    /// Microseconds until one more unit is available, 0 when all are.
    pub(crate) fn next_unit_after(&self, verdict: &Verdict) -> u64 {
        match self.algorithm {
            Algorithm::Gcra => {
                let others = self.quota.saturating_sub(verdict.remaining + 1) * self.interval;
                verdict.reset_after.saturating_sub(others)
            }
            Algorithm::FixedWindow => verdict.reset_after,
        }
    }

    /// What a request of `cost` is told `elapsed` microseconds after `verdict`, if nothing was
    /// consumed in between.
    pub(crate) fn later(&self, verdict: &Verdict, elapsed: u64, cost: u64) -> Verdict {
        let state = State {
            ends: verdict.reset_after,
            count: self.quota.saturating_sub(verdict.remaining),
        };
        let bucket = Bucket::new(*self, Some(state), elapsed);
        bucket.verdict(bucket.wait(cost))
    }
}

/// A limit with its state at one moment.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Limit,
    now: u64,
    state: State,
    changed: bool,
}

impl Bucket {
    pub(crate) fn new(limit: Limit, stored: Option<State>, now: u64) -> Self {
        let fresh = State {
            ends: now,
            count: 0,
        };
        let mut state = stored.filter(|state| state.ends > now).unwrap_or(fresh);
        // No request can leave a state that reaches further, so the clock stepped back (or the
        // quota was lowered). Unless the cut were stored, it would slide along with the clock
        // and deny until the old time has come again.
        let furthest = now + limit.span();
        let changed = state.ends > furthest;
        state.ends = state.ends.min(furthest);
        if limit.algorithm == Algorithm::Gcra {
            state.count = 0;
        }
        Self {
            limit,
            now,
            state,
            changed,
        }
    }

    fn wait(&self, cost: u64) -> Wait {
        if cost == 0 {
            return Wait::None;
        }
        if cost > self.limit.quota {
            return Wait::Forever;
        }
        let wait = match self.limit.algorithm {
            Algorithm::Gcra => {
                let ends = self.state.ends + cost * self.limit.interval;
                ends.saturating_sub(self.now + self.limit.span())
            }
            Algorithm::FixedWindow if self.state.count + cost > self.limit.quota => {
                self.state.ends - self.now
            }
            Algorithm::FixedWindow => 0,
        };
        match wait {
            0 => Wait::None,
            micros => Wait::Micros(micros),
        }
    }

    fn consume(&mut self, cost: u64) {
        match self.limit.algorithm {
            Algorithm::Gcra => self.state.ends += cost * self.limit.interval,
            Algorithm::FixedWindow => {
                if self.state.ends == self.now {
                    self.state.ends += self.limit.interval;
                }
                self.state.count += cost;
            }
        }
        self.changed = true;
    }

    fn verdict(&self, wait: Wait) -> Verdict {
        let reset_after = self.state.ends - self.now;
        Verdict {
            remaining: self.limit.remaining(reset_after, self.state.count),
            reset_after,
            wait,
        }
    }

    /// The state to store, if there is a new one.
    pub(crate) fn changed(&self) -> Option<State> {
        self.changed.then_some(self.state)
    }
}

/// Consumes `cost` from all limits or, if one has less left, from none. A cost of 0 looks
/// and changes nothing.
pub(crate) fn acquire(buckets: &mut [Bucket], cost: u64) -> Vec<Verdict> {
    let admitted = buckets.iter().all(|bucket| bucket.wait(cost) == Wait::None);
    let verdict = |bucket: &mut Bucket| {
        let wait = bucket.wait(cost);
        if cost == 0 {
            bucket.changed = false;
        } else if admitted {
            bucket.consume(cost);
        }
        bucket.verdict(wait)
    };
    buckets.iter_mut().map(verdict).collect()
}
