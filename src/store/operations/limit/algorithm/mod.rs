//! The arithmetic of the limits: pure functions over a state, a time and a cost, one file an
//! algorithm.
//!
//! No clock, no storage. Times are whole microseconds. Every number that is stored or sent is
//! below 2^53, because `acquire.lua` does the same in doubles, and every rounding is to the
//! strict side: never is more admitted than a quota says.

mod ban;
mod block;
mod concurrency;
mod fixed_window;
mod gcra;
mod kept;
mod sliding_window;

use smallvec::SmallVec;

pub(crate) use ban::{Ban, BanState, Standing};
pub(crate) use concurrency::{PlaceId, Places};
pub(crate) use gcra::State;
pub(crate) use kept::Kept;
pub(crate) use sliding_window::Log;

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
    /// No span of a window's length sees more than the quota, wherever it begins. Each unit comes
    /// back a window after it was taken. Exact for quotas of up to 128 units; of larger ones the
    /// units that were taken within a 128th of the window come back together, when the last of
    /// them does. `alg=sliding`.
    SlidingWindow,
    /// So many requests at a time. Each holds a place until its response has ended; the window
    /// is the time after which the place of a process that has crashed is free again.
    /// `alg=concurrency`.
    Concurrency,
}

impl Algorithm {
    /// The name in policies and keys.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Gcra => "gcra",
            Self::FixedWindow => "fixed",
            Self::SlidingWindow => "sliding",
            Self::Concurrency => "concurrency",
        }
    }
}

/// One limit in the numbers that the arithmetic needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    pub(crate) algorithm: Algorithm,
    /// Units in a window, at most 10^12.
    pub(crate) quota: u64,
    /// Microseconds, at most 2^45.
    pub(crate) window: u64,
    /// GCRA: the parts that a unit takes of the window.
    pub(crate) weight: u64,
    /// GCRA: the parts in a microsecond, 1 where a unit is a whole number of microseconds.
    pub(crate) parts: u64,
    /// Units that are kept back for what [blocks](Self::sparing) may be late; 0 without blocks.
    pub(crate) spare: u64,
}

/// A state seen from one moment: how much of the limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    /// Microseconds until nothing is in use any more.
    pub(crate) left: u64,
    /// GCRA: the parts of a microsecond beyond it. Else the units or places in use.
    pub(crate) rest: u64,
    /// Sliding window: microseconds until the units that were taken first come back.
    pub(crate) next: u64,
    /// Sliding window: microseconds until the cost that was asked for fits.
    pub(crate) wait: u64,
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

/// What one limit says to a request; times in microseconds from the decision, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Units left after the request: it has consumed its cost only if all limits admitted it.
    pub(crate) remaining: u64,
    /// Until the quota is whole again.
    pub(crate) reset_after: u64,
    /// Until one more unit is available, 0 when all are.
    pub(crate) more_after: u64,
    pub(crate) wait: Wait,
    /// What the limit holds after the request.
    pub(crate) level: Level,
}

/// Something for each limit of a layer, which mostly has one.
pub(crate) type PerLimit<T> = SmallVec<[T; 1]>;

impl Limit {
    /// `quota` units in every `window` of so many microseconds.
    pub(crate) fn new(algorithm: Algorithm, quota: u64, window: u64) -> Self {
        let (weight, parts) = match algorithm {
            Algorithm::Gcra => gcra::weight_and_parts(quota, window),
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::Concurrency => {
                (1, quota)
            }
        };
        Self {
            algorithm,
            quota,
            window,
            weight,
            parts,
            spare: 0,
        }
    }

    /// Whether the state is a moment in whole microseconds and nothing else.
    pub(crate) fn is_whole(&self) -> bool {
        self.algorithm == Algorithm::Gcra && self.parts == 1
    }

    pub(crate) fn is_concurrency(&self) -> bool {
        self.algorithm == Algorithm::Concurrency
    }

    /// A cost that can be added to what is in use: all those above the quota are one that never
    /// fits.
    fn countable(&self, cost: u64) -> u64 {
        cost.min(self.quota + 1)
    }

    /// What `cost` takes: of GCRA whole microseconds and parts of one, else units alone. A request
    /// takes one place whatever it costs.
    pub(crate) fn charge(&self, cost: u64) -> (u64, u64) {
        let cost = self.countable(cost);
        match self.algorithm {
            Algorithm::Gcra => self.gcra_charge(cost),
            Algorithm::FixedWindow | Algorithm::SlidingWindow => (0, cost),
            Algorithm::Concurrency => (0, cost.min(1)),
        }
    }

    /// How long a request of `cost` has to wait.
    fn wait(&self, level: Level, cost: u64) -> Wait {
        if cost == 0 {
            return Wait::None;
        }
        if cost > self.quota - self.spare && self.algorithm != Algorithm::Concurrency {
            return Wait::Forever;
        }
        let wait = match self.algorithm {
            Algorithm::Gcra => self.gcra_wait(level, cost),
            Algorithm::FixedWindow if level.rest + cost > self.quota => level.left,
            Algorithm::SlidingWindow if level.rest + cost > self.quota => level.wait,
            Algorithm::Concurrency if level.rest >= self.quota => concurrency::RETRY,
            _ => 0,
        };
        match wait {
            0 => Wait::None,
            micros => Wait::Micros(micros),
        }
    }

    fn charged(&self, level: Level, cost: u64) -> Level {
        match self.algorithm {
            Algorithm::Gcra => self.gcra_charged(level, cost),
            Algorithm::FixedWindow => self.fixed_charged(level, cost),
            Algorithm::SlidingWindow => self.sliding_charged(level, cost),
            Algorithm::Concurrency => Level {
                rest: level.rest + 1,
                ..level
            },
        }
    }

    fn outcome(&self, level: Level, wait: Wait) -> Outcome {
        let unused = self.quota.saturating_sub(level.rest);
        let (remaining, reset_after, more_after) = match self.algorithm {
            Algorithm::Gcra => self.gcra_outcome(level),
            Algorithm::FixedWindow => (unused, level.left, level.left),
            Algorithm::SlidingWindow => (unused, level.left, level.next),
            // Nobody knows when a request will end.
            Algorithm::Concurrency => (unused, 0, 0),
        };
        Outcome {
            remaining,
            reset_after,
            more_after,
            wait,
            level,
        }
    }

    /// How long `units` that go before take, in microseconds; `None` where they leave nothing.
    pub(crate) fn time_of(&self, units: u64) -> Option<u64> {
        match self.algorithm {
            Algorithm::Gcra => {
                let parts = u128::from(units) * u128::from(self.weight);
                u64::try_from(parts.div_ceil(u128::from(self.parts))).ok()
            }
            _ => (units < self.quota).then_some(0),
        }
    }

    /// Whether what a denied request was told says what later ones are to be told: only of what
    /// comes back by time alone, and of a sliding window only for the cost that was asked for.
    pub(crate) fn foresees(&self, denied: u64, cost: u64) -> bool {
        match self.algorithm {
            Algorithm::Gcra | Algorithm::FixedWindow => true,
            Algorithm::SlidingWindow => denied == cost,
            Algorithm::Concurrency => false,
        }
    }

    /// What a request of `cost` is told `elapsed` microseconds after the limit held `level`, if
    /// nothing was consumed in between.
    pub(crate) fn later(&self, level: Level, elapsed: u64, cost: u64) -> Outcome {
        let level = match self.algorithm {
            Algorithm::Gcra | Algorithm::FixedWindow => {
                let state = State {
                    ends: level.left,
                    rest: level.rest,
                    of: self.parts,
                };
                self.level(Some(state), elapsed).0
            }
            Algorithm::SlidingWindow | Algorithm::Concurrency => Level {
                left: level.left.saturating_sub(elapsed),
                next: level.next.saturating_sub(elapsed),
                wait: level.wait.saturating_sub(elapsed),
                rest: level.rest,
            },
        };
        self.outcome(level, self.wait(level, cost))
    }
}

/// What each limit says to a request of `cost`, which is taken of all of them or, if one has
/// less left or the subject is banned, of none. A cost of 0 looks and takes nothing.
pub(crate) fn acquire(banned: bool, limits: &[(Limit, Level)], cost: u64) -> PerLimit<Outcome> {
    let wait = |(limit, level): &(Limit, Level)| limit.wait(*level, cost);
    let waits: PerLimit<Wait> = limits.iter().map(wait).collect();
    let admitted = !banned && waits.iter().all(|wait| *wait == Wait::None);
    let outcome = |(&(limit, level), wait): (&(Limit, Level), Wait)| {
        let level = match admitted && cost > 0 {
            true => limit.charged(level, cost),
            false => level,
        };
        limit.outcome(level, wait)
    };
    limits.iter().zip(waits).map(outcome).collect()
}
