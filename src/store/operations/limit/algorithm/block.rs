//! Blocks: units that a process takes ahead and spends without asking.
//!
//! With blocks of at most a part ε of the quota, which are spent within a part ε of the window, a limit is
//! enforced with a burst of `quota - spare`, where `spare` is ε of the quota, rounded up, while
//! units come back as fast as before. So whatever is admitted in a span of time was charged in
//! that span or at most ε of a window before it, and what can be charged there is the quota and
//! what comes back in the span: admissions obey GCRA with the whole quota at the moments at which
//! they happen, whoever made them. Blocks are only given below half of the quota, so that none
//! brings its subject to the limit.

use super::{Level, Limit};

impl Limit {
    /// The same limit with a burst of so many units less.
    pub(crate) fn sparing(self, spare: u64) -> Self {
        Self { spare, ..self }
    }

    /// Whether no more than half of what may be held is, after a cost and a block. A call without
    /// a cost only looks, and gets none.
    pub(crate) fn spares_block(&self, level: Level, cost: u64, block: u64) -> bool {
        let units = u128::from(self.countable(cost)) + u128::from(block);
        cost > 0 && self.in_parts(level) + units * u128::from(self.weight) <= self.full() / 2
    }

    /// In microseconds and parts beyond them: what may be held, the cost, the cost with a block,
    /// and what may be held with that.
    pub(crate) fn block_numbers(&self, cost: u64, block: u64) -> [(u64, u64); 4] {
        let cost = self.countable(cost);
        [
            self.micros_and_parts(self.full()),
            self.gcra_charge(cost),
            self.gcra_charge(cost + block),
            self.micros_and_parts(self.full() / 2),
        ]
    }
}
