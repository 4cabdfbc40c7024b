//! GCRA and fixed windows keep a moment and a number.
//!
//! Under GCRA a unit comes back every `window / quota` microseconds, in lowest terms
//! `weight / parts`: so the time is counted in whole microseconds and in `parts` of one, and what
//! does not divide is carried in the parts. Nothing is ever rounded.

use super::{Algorithm, Level, Limit};

/// What is stored of a limit between requests: a moment, after which it is as good as absent,
/// and a remainder.
///
/// | | `ends` | `rest` | `of` |
/// |---|---|---|---|
/// | GCRA | the theoretical arrival time, whole microseconds | the parts of a microsecond beyond it | the parts in a microsecond |
/// | fixed window | the window's end | the units consumed in it | the quota they are counted against |
///
/// Neither depends on the quota but for the remainder, and `of` says of which quota that is one. So
/// a changed quota keeps the fraction that is used: to the microsecond under GCRA, to the unit in
/// a fixed window, and always rounded to the strict side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) ends: u64,
    pub(crate) rest: u64,
    pub(crate) of: u64,
}

pub(super) fn weight_and_parts(quota: u64, window: u64) -> (u64, u64) {
    let common = greatest_common_divisor(window, quota).max(1);
    (window / common, quota / common)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

impl Limit {
    pub(super) fn gcra_charge(&self, cost: u64) -> (u64, u64) {
        self.micros_and_parts(u128::from(cost) * u128::from(self.weight))
    }

    /// What is in use at `now` of what was stored, and whether that had to be cut: no request
    /// can leave a state that reaches further than the window, so the clock stepped back. Unless
    /// the cut is stored, it slides along with the clock and denies until the old time has come
    /// again.
    pub(crate) fn level(&self, stored: Option<State>, now: u64) -> (Level, bool) {
        let Some(state) = stored else {
            return (Level::default(), false);
        };
        if self.algorithm == Algorithm::FixedWindow {
            return self.fixed_level(state, now);
        }
        let (ends, rest) = match self.is_whole() {
            true => (state.ends, 0),
            false if state.of == self.parts => (state.ends, state.rest),
            false => (state.ends + u64::from(state.rest > 0), 0),
        };
        let Some(left) = ends.checked_sub(now) else {
            return (Level::default(), false);
        };
        let cut = left > self.window;
        let (left, rest) = if cut { (self.window, 0) } else { (left, rest) };
        let level = Level {
            left,
            rest,
            ..Level::default()
        };
        (level, cut)
    }

    /// Until when more than half of the quota is in use, if nothing more is consumed.
    pub(crate) fn scarce_until(&self, state: State) -> u64 {
        match self.algorithm {
            Algorithm::FixedWindow if self.units_of(state) > self.quota / 2 => state.ends,
            Algorithm::FixedWindow => 0,
            _ => state.ends.saturating_sub(self.window / 2),
        }
    }

    pub(super) fn gcra_wait(&self, level: Level, cost: u64) -> u64 {
        let after = self.in_parts(level) + u128::from(cost) * u128::from(self.weight);
        self.whole_micros(after.saturating_sub(self.full()))
    }

    pub(super) fn gcra_charged(&self, level: Level, cost: u64) -> Level {
        let after = self.in_parts(level) + u128::from(cost) * u128::from(self.weight);
        let (left, rest) = self.micros_and_parts(after);
        Level {
            left,
            rest,
            ..level
        }
    }

    /// The units that are left, and the times until all and until one more are.
    pub(super) fn gcra_outcome(&self, level: Level) -> (u64, u64, u64) {
        let (held, weight) = (self.in_parts(level), u128::from(self.weight));
        let remaining = (self.full().saturating_sub(held) / weight) as u64;
        let burst = self.quota - self.spare;
        let others = u128::from(burst.saturating_sub(remaining + 1)) * weight;
        let more_after = self.whole_micros(held.saturating_sub(others));
        (remaining, self.whole_micros(held), more_after)
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

    /// The state after `units` of a reservation were given back, whose last microsecond was
    /// `mark` when it was made. What has come back by time since then is not given twice.
    pub(crate) fn refunded(&self, state: State, mark: u64, units: u64, now: u64) -> State {
        if self.algorithm == Algorithm::FixedWindow {
            return self.fixed_refunded(state, mark, units);
        }
        // A part of a microsecond stays charged.
        let (micros, _) = self.gcra_charge(units);
        let still_there = mark.saturating_sub(now);
        State {
            ends: state.ends - micros.min(still_there).min(state.ends.saturating_sub(now)),
            ..state
        }
    }

    /// What may be held, in parts: the whole window, but for what blocks may be late.
    pub(super) fn full(&self) -> u128 {
        let spare = u128::from(self.spare) * u128::from(self.weight);
        u128::from(self.window) * u128::from(self.parts) - spare
    }

    pub(super) fn in_parts(&self, level: Level) -> u128 {
        u128::from(level.left) * u128::from(self.parts) + u128::from(level.rest)
    }

    pub(super) fn micros_and_parts(&self, parts: u128) -> (u64, u64) {
        let of = u128::from(self.parts);
        ((parts / of) as u64, (parts % of) as u64)
    }

    fn whole_micros(&self, parts: u128) -> u64 {
        parts.div_ceil(u128::from(self.parts)) as u64
    }
}
