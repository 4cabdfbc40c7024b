//! Bans: a subject that is denied too often is denied everything for a while.

/// When and for how long somebody is banned; times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ban {
    /// The denial within a window that brings the ban.
    pub(crate) denials: u64,
    pub(crate) window: u64,
    /// How long the first ban lasts. Each further one lasts twice as long as the one before.
    pub(crate) first: u64,
    pub(crate) longest: u64,
}

/// What is stored of somebody who was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BanState {
    /// The ban's end, 0 without one.
    pub(crate) until: u64,
    /// The end of the window in which denials are counted.
    pub(crate) ends: u64,
    pub(crate) denials: u64,
    /// How often a ban has come.
    pub(crate) bans: u64,
}

/// What a ban says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// Microseconds until the ban is over, 0 without one.
    pub(crate) left: u64,
    /// Denials in the window, and bans so far.
    pub(crate) denials: u64,
    pub(crate) bans: u64,
}

impl Ban {
    pub(crate) fn standing(&self, state: Option<BanState>, now: u64) -> Standing {
        let Some(state) = state.filter(|state| state.forgotten_at(self) > now) else {
            return Standing::default();
        };
        let window_left = state.ends.saturating_sub(now);
        Standing {
            // Further away than its length it is when the clock was set back.
            left: (state.until.saturating_sub(now)).min(self.length(state.bans.max(1) - 1)),
            denials: match window_left {
                0 => 0,
                left if left > self.window => 0,
                _ => state.denials,
            },
            bans: state.bans,
        }
    }

    /// The state after a denial, and how long the ban is that it brings; 0 where it brings none.
    ///
    /// Of somebody who is banned that is the same state, unless the clock was set back: were the
    /// ban not cut for good, its end would slide along with the clock.
    pub(crate) fn deny(&self, state: Option<BanState>, now: u64) -> (BanState, u64) {
        let standing = self.standing(state, now);
        if let (1.., Some(state)) = (standing.left, state) {
            let until = now + standing.left;
            return (BanState { until, ..state }, 0);
        }
        let denials = standing.denials + 1;
        if denials >= self.denials {
            let length = self.length(standing.bans);
            let state = BanState {
                until: now + length,
                ends: 0,
                denials: 0,
                bans: standing.bans + 1,
            };
            return (state, length);
        }
        let ends = match (standing.denials, state) {
            (1.., Some(state)) => state.ends,
            _ => now + self.window,
        };
        let state = BanState {
            until: 0,
            ends,
            denials,
            bans: standing.bans,
        };
        (state, 0)
    }

    /// The length of the ban that comes after so many.
    pub(crate) fn length(&self, bans: u64) -> u64 {
        let doublings = u32::try_from(bans.min(40)).unwrap_or(40);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

impl BanState {
    /// A subject that is not denied for the length of the longest ban starts anew.
    pub(crate) fn forgotten_at(&self, ban: &Ban) -> u64 {
        match self.bans {
            0 => self.ends,
            _ => self.until.max(self.ends) + ban.longest,
        }
    }
}
