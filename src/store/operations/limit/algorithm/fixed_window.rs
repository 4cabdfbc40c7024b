//! Fixed windows: a count that starts anew when the window ends that its first unit has opened.

use super::{Level, Limit, State};

impl Limit {
    pub(super) fn fixed_level(&self, state: State, now: u64) -> (Level, bool) {
        let left = state.ends.saturating_sub(now);
        if left == 0 {
            return (Level::default(), false);
        }
        let level = Level {
            left: left.min(self.window),
            rest: self.units_of(state),
            ..Level::default()
        };
        (level, left > self.window)
    }

    pub(super) fn fixed_charged(&self, level: Level, cost: u64) -> Level {
        Level {
            left: match level.left {
                0 => self.window,
                left => left,
            },
            rest: level.rest + cost,
            ..level
        }
    }

    /// The units of this quota that are the same fraction of it as those of the state are of
    /// theirs. In doubles, as Lua does it: exact below 2^53, and rounded up.
    pub(super) fn units_of(&self, state: State) -> u64 {
        scaled(state.rest, state.of, self.quota)
    }

    /// Units go back only into the window that they were taken of, which `mark` ends.
    pub(super) fn fixed_refunded(&self, state: State, mark: u64, units: u64) -> State {
        if state.ends != mark || state.of != self.quota {
            return state;
        }
        State {
            rest: state.rest.saturating_sub(units),
            ..state
        }
    }
}

/// `units` of one quota in units of another, rounded up.
pub(super) fn scaled(units: u64, of: u64, quota: u64) -> u64 {
    if of == quota {
        return units;
    }
    (units as f64 * quota as f64 / of as f64).ceil() as u64
}
