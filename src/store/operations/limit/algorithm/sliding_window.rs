//! Sliding windows: a log of what was taken when, in at most [`GROUPS`] groups.

use super::{Level, Limit, fixed_window::scaled};

/// How many groups of units a log tells apart within a window.
pub(crate) const GROUPS: u64 = 128;

/// The units of a window, in the order in which they were taken: each group with the moment of its
/// last unit, since that must not come back too soon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) groups: Vec<(u64, u64)>,
    pub(crate) used: u64,
    /// The quota that the units are counted against.
    pub(crate) of: u64,
}

impl Limit {
    /// Units that are taken within so many microseconds share a group. Up to [`GROUPS`] units need
    /// no sharing.
    pub(crate) fn group_width(&self) -> u64 {
        match self.quota {
            0..=GROUPS => 1,
            _ => self.window.div_ceil(GROUPS),
        }
    }

    pub(super) fn sliding_charged(&self, level: Level, cost: u64) -> Level {
        Level {
            left: self.window,
            rest: level.rest + cost,
            next: match level.next {
                0 => self.window,
                next => next,
            },
            wait: 0,
        }
    }
}

impl Log {
    pub(crate) fn of(quota: u64) -> Self {
        Self {
            of: quota,
            ..Self::default()
        }
    }

    /// Drops what is a window old at `now` and counts the rest against the quota of `limit`.
    /// Whether it had to be cut: what lies ahead of the clock was taken before that was set back,
    /// and counts as taken now.
    pub(crate) fn advance(&mut self, limit: &Limit, now: u64) -> bool {
        let gone = |&&(at, _): &&(u64, u64)| at + limit.window <= now;
        let gone = self.groups.iter().take_while(gone).count();
        self.groups.drain(..gone);
        if self.of != limit.quota {
            for (_, units) in &mut self.groups {
                *units = scaled(*units, self.of.max(1), limit.quota);
            }
            self.of = limit.quota;
        }
        let cut = self.groups.last().is_some_and(|&(at, _)| at > now);
        if cut {
            let behind = self.groups.iter().take_while(|&&(at, _)| at <= now).count();
            let ahead = self.groups.drain(behind..).map(|(_, units)| units).sum();
            self.groups.push((now, ahead));
        }
        self.used = self.groups.iter().map(|(_, units)| units).sum();
        cut
    }

    /// What is in use at the moment that it was [advanced](Self::advance) to, as a request of
    /// `cost` sees it.
    pub(crate) fn level(&self, limit: &Limit, now: u64, cost: u64) -> Level {
        let cost = limit.countable(cost);
        let until =
            |group: Option<&(u64, u64)>| group.map_or(0, |&(at, _)| at + limit.window - now);
        let mut missing = (self.used + cost).saturating_sub(limit.quota);
        let mut wait = 0;
        if (1..=limit.quota).contains(&cost) {
            for group in &self.groups {
                if missing == 0 {
                    break;
                }
                missing = missing.saturating_sub(group.1);
                wait = until(Some(group));
            }
        }
        Level {
            left: until(self.groups.last()),
            rest: self.used,
            next: until(self.groups.first()),
            wait,
        }
    }

    pub(crate) fn charge(&mut self, limit: &Limit, now: u64, cost: u64) {
        let slot = |at: u64| at / limit.group_width();
        match self.groups.last_mut() {
            Some((at, units)) if slot(*at) == slot(now) => (*at, *units) = (now, *units + cost),
            _ => self.groups.push((now, cost)),
        }
        self.used += cost;
    }

    /// Gives back units of a reservation that was made at `mark`, if they are still in the
    /// window.
    pub(crate) fn refund(&mut self, mark: u64, units: u64) {
        if let Some(place) = self.groups.iter().position(|(at, _)| *at >= mark) {
            let (_, held) = &mut self.groups[place];
            let back = units.min(*held);
            *held -= back;
            self.used -= back;
            if *held == 0 {
                self.groups.remove(place);
            }
        }
    }

    /// When the last unit comes back.
    pub(crate) fn ends(&self, limit: &Limit) -> u64 {
        self.groups.last().map_or(0, |&(at, _)| at + limit.window)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(u64, u64)>()
    }
}
