//! The arithmetic of the limits: pure functions over a state, a time and a cost.
//!
//! No clock, no storage, no rounding. Under GCRA a unit comes back every `window / quota`
//! microseconds, in lowest terms `weight / parts`: so the time is counted in whole microseconds
//! and in `parts` of one, and what does not divide is carried in the parts. Every number that is
//! stored or sent is below 2^53, because `acquire.lua` does the same in doubles.
//!
//! A state is a moment, after which it is as good as absent, and a remainder:
//!
//! | | `ends` | `rest` | `of` |
//! |---|---|---|---|
//! | GCRA | the theoretical arrival time, whole microseconds | the parts of a microsecond beyond it | the parts in a microsecond |
//! | fixed window | the window's end | the units consumed in it | the quota they are counted against |
//!
//! Neither depends on the quota but for the remainder, and that says of what it is one. So a
//! changed quota keeps the fraction that is used: to the microsecond under GCRA, to the unit in
//! a fixed window, and always rounded to the strict side.

use smallvec::SmallVec;

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

/// One limit in the numbers that the arithmetic needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    pub(crate) algorithm: Algorithm,
    /// Units in a window, at most 10^12.
    pub(crate) quota: u64,
    /// Microseconds, at most 2^45.
    pub(crate) window: u64,
    /// Parts that a unit takes of the window.
    pub(crate) weight: u64,
    /// Parts in a microsecond: 1 where a unit is a whole number of microseconds.
    pub(crate) parts: u64,
}

/// What is stored of a limit between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) ends: u64,
    pub(crate) rest: u64,
    pub(crate) of: u64,
}

/// A state seen from one moment: how much of the limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    /// Microseconds until the state ends.
    pub(crate) left: u64,
    pub(crate) rest: u64,
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

impl Limit {
    /// `quota` units in every `window` of so many microseconds.
    pub(crate) fn new(algorithm: Algorithm, quota: u64, window: u64) -> Self {
        let (weight, parts) = match algorithm {
            Algorithm::Gcra => {
                let common = greatest_common_divisor(window, quota).max(1);
                (window / common, quota / common)
            }
            Algorithm::FixedWindow => (1, quota),
        };
        Self {
            algorithm,
            quota,
            window,
            weight,
            parts,
        }
    }

    /// Whether the state is a moment in whole microseconds and nothing else.
    pub(crate) fn is_whole(&self) -> bool {
        self.algorithm == Algorithm::Gcra && self.parts == 1
    }

    /// What `cost` takes of the window: whole microseconds and parts of one. Of a fixed window,
    /// which is no matter of time, units alone. A cost above the quota is cut to one that never fits.
    pub(crate) fn charge(&self, cost: u64) -> (u64, u64) {
        let cost = cost.min(self.quota + 1);
        match self.algorithm {
            Algorithm::Gcra => {
                let parts = u128::from(cost) * u128::from(self.weight);
                self.micros_and_parts(parts)
            }
            Algorithm::FixedWindow => (0, cost),
        }
    }

    /// What is in use at `now` of what was stored, and whether that had to be cut: no request
    /// can leave a state that reaches further than the window, so the clock stepped back. Unless
    /// the cut is stored, it slides along with the clock and denies until the old time has come
    /// again.
    pub(crate) fn level(&self, stored: Option<State>, now: u64) -> (Level, bool) {
        let Some(state) = stored else {
            return (Level::default(), false);
        };
        let (ends, rest) = match self.algorithm {
            Algorithm::Gcra if self.is_whole() => (state.ends, 0),
            Algorithm::Gcra if state.of == self.parts => (state.ends, state.rest),
            Algorithm::Gcra => (state.ends + u64::from(state.rest > 0), 0),
            Algorithm::FixedWindow => (state.ends, self.units_of(state)),
        };
        let Some(left) = ends.checked_sub(now) else {
            return (Level::default(), false);
        };
        match self.algorithm {
            Algorithm::Gcra if left > self.window => {
                let left = self.window;
                (Level { left, rest: 0 }, true)
            }
            Algorithm::FixedWindow if left == 0 => (Level::default(), false),
            Algorithm::FixedWindow => {
                let cut = left > self.window;
                let left = left.min(self.window);
                (Level { left, rest }, cut)
            }
            Algorithm::Gcra => (Level { left, rest }, false),
        }
    }

    /// Until when more than half of the quota is in use, if nothing more is consumed.
    pub(crate) fn scarce_until(&self, state: State) -> u64 {
        match self.algorithm {
            Algorithm::Gcra => state.ends.saturating_sub(self.window / 2),
            Algorithm::FixedWindow if self.units_of(state) > self.quota / 2 => state.ends,
            Algorithm::FixedWindow => 0,
        }
    }

    /// The units of this quota that are the same fraction of it as those of the state are of
    /// theirs. In doubles, as Lua does it: exact below 2^53, and rounded up.
    fn units_of(&self, state: State) -> u64 {
        if state.of == self.quota {
            return state.rest;
        }
        (state.rest as f64 * self.quota as f64 / state.of as f64).ceil() as u64
    }

    /// How long a request of `cost` has to wait.
    fn wait(&self, level: Level, cost: u64) -> Wait {
        if cost == 0 {
            return Wait::None;
        }
        if cost > self.quota {
            return Wait::Forever;
        }
        let wait = match self.algorithm {
            Algorithm::Gcra => {
                let after = self.in_parts(level) + u128::from(cost) * u128::from(self.weight);
                self.whole_micros(after.saturating_sub(self.full()))
            }
            Algorithm::FixedWindow if level.rest + cost > self.quota => level.left,
            Algorithm::FixedWindow => 0,
        };
        match wait {
            0 => Wait::None,
            micros => Wait::Micros(micros),
        }
    }

    fn charged(&self, level: Level, cost: u64) -> Level {
        match self.algorithm {
            Algorithm::Gcra => {
                let after = self.in_parts(level) + u128::from(cost) * u128::from(self.weight);
                let (left, rest) = self.micros_and_parts(after);
                Level { left, rest }
            }
            Algorithm::FixedWindow => Level {
                left: if level.left == 0 {
                    self.window
                } else {
                    level.left
                },
                rest: level.rest + cost,
            },
        }
    }

    fn outcome(&self, level: Level, wait: Wait) -> Outcome {
        let (remaining, reset_after, more_after) = match self.algorithm {
            Algorithm::Gcra => {
                let (held, weight) = (self.in_parts(level), u128::from(self.weight));
                let remaining = (self.full().saturating_sub(held) / weight) as u64;
                let others = u128::from(self.quota.saturating_sub(remaining + 1)) * weight;
                let more_after = self.whole_micros(held.saturating_sub(others));
                (remaining, self.whole_micros(held), more_after)
            }
            Algorithm::FixedWindow => {
                let remaining = self.quota.saturating_sub(level.rest);
                (remaining, level.left, level.left)
            }
        };
        Outcome {
            remaining,
            reset_after,
            more_after,
            wait,
            level,
        }
    }

    /// What a request of `cost` is told `elapsed` microseconds after the limit held `level`, if
    /// nothing was consumed in between.
    pub(crate) fn later(&self, level: Level, elapsed: u64, cost: u64) -> Outcome {
        let state = State {
            ends: level.left,
            rest: level.rest,
            of: self.parts,
        };
        let (level, _) = self.level(Some(state), elapsed);
        self.outcome(level, self.wait(level, cost))
    }

    /// The state to store for `level`. Where it is a moment alone, the rest of what was stored
    /// stays: it is under a microsecond, of another quota.
    pub(crate) fn state(&self, level: Level, stored: Option<State>, now: u64) -> State {
        let ends = now + level.left;
        match (self.is_whole(), stored) {
            (true, Some(stored)) => State { ends, ..stored },
            _ => State {
                ends,
                rest: level.rest,
                of: self.parts,
            },
        }
    }

    /// The whole quota in parts.
    fn full(&self) -> u128 {
        u128::from(self.window) * u128::from(self.parts)
    }

    fn in_parts(&self, level: Level) -> u128 {
        u128::from(level.left) * u128::from(self.parts) + u128::from(level.rest)
    }

    fn micros_and_parts(&self, parts: u128) -> (u64, u64) {
        let of = u128::from(self.parts);
        ((parts / of) as u64, (parts % of) as u64)
    }

    fn whole_micros(&self, parts: u128) -> u64 {
        parts.div_ceil(u128::from(self.parts)) as u64
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// Something for each limit of a layer, which mostly has one.
pub(crate) type PerLimit<T> = SmallVec<[T; 1]>;

/// What each limit says to a request of `cost`, which is taken of all of them or, if one has
/// less left, of none. A cost of 0 looks and takes nothing.
pub(crate) fn acquire(limits: &[(Limit, Level)], cost: u64) -> PerLimit<Outcome> {
    let wait = |(limit, level): &(Limit, Level)| limit.wait(*level, cost);
    let waits: PerLimit<Wait> = limits.iter().map(wait).collect();
    let admitted = waits.iter().all(|wait| *wait == Wait::None);
    let outcome = |(&(limit, level), wait): (&(Limit, Level), Wait)| {
        let level = match admitted && cost > 0 {
            true => limit.charged(level, cost),
            false => level,
        };
        limit.outcome(level, wait)
    };
    limits.iter().zip(waits).map(outcome).collect()
}
