//! What is stored of a limit between requests, whatever its algorithm.

use super::{Algorithm, Level, Limit, Log, PlaceId, Places, State};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// GCRA and fixed windows.
    Moment(State),
    /// Sliding windows.
    Log(Log),
    /// Concurrency.
    Places(Places),
}

impl Kept {
    /// What `limit` holds at `now` as a request of `cost` sees it, and whether that had to be cut
    /// because the clock was set back.
    pub(crate) fn level(
        stored: Option<&mut Self>,
        limit: &Limit,
        now: u64,
        cost: u64,
    ) -> (Level, bool) {
        match stored {
            Some(Self::Moment(state)) => limit.level(Some(*state), now),
            // What is denied, or only looked at, is not stored: nothing is rounded or dropped for it,
            // which the clock might be set back to.
            Some(Self::Log(log)) => {
                let mut log = log.clone();
                let cut = log.advance(limit, now);
                (log.level(limit, now, cost), cut)
            }
            Some(Self::Places(places)) => {
                let cut = places.advance(limit, now);
                (places.level(), cut)
            }
            None => (Level::default(), false),
        }
    }

    /// What is to be stored once `cost` was charged, which has left `level`. A cost of 0 stores a
    /// cut.
    pub(crate) fn charged(
        stored: Option<Self>,
        limit: &Limit,
        now: u64,
        cost: u64,
        level: Level,
        place: PlaceId,
    ) -> Self {
        match limit.algorithm {
            Algorithm::Gcra | Algorithm::FixedWindow => {
                let state = match stored {
                    Some(Self::Moment(state)) => Some(state),
                    _ => None,
                };
                Self::Moment(limit.state(level, state, now))
            }
            Algorithm::SlidingWindow => {
                let mut log = match stored {
                    Some(Self::Log(log)) => log,
                    _ => Log::of(limit.quota),
                };
                log.advance(limit, now);
                if cost > 0 {
                    log.charge(limit, now, cost);
                }
                Self::Log(log)
            }
            Algorithm::Concurrency => {
                let mut places = match stored {
                    Some(Self::Places(places)) => places,
                    _ => Places::default(),
                };
                if cost > 0 {
                    places.take(place, now + limit.window);
                }
                Self::Places(places)
            }
        }
    }

    /// What tells whether a reservation made at `now` is still part of the state: see
    /// [`refund`](Self::refund).
    pub(crate) fn mark(&self, now: u64) -> u64 {
        match self {
            Self::Moment(state) => state.ends,
            Self::Log(_) | Self::Places(_) => now,
        }
    }

    /// Gives back `units` of the reservation with this mark, as far as they have not come back by
    /// time.
    pub(crate) fn refund(&mut self, limit: &Limit, mark: u64, units: u64, now: u64) {
        match self {
            Self::Moment(state) => *state = limit.refunded(*state, mark, units, now),
            Self::Log(log) if log.of == limit.quota && mark + limit.window > now => {
                log.refund(mark, units);
            }
            Self::Log(_) | Self::Places(_) => {}
        }
    }

    /// Whether all was given back: a window that holds nothing has not begun. GCRA's moment says so
    /// itself.
    pub(crate) fn is_empty(&self, limit: &Limit) -> bool {
        match self {
            Self::Moment(state) => limit.algorithm == Algorithm::FixedWindow && state.rest == 0,
            Self::Log(log) => log.groups.is_empty(),
            Self::Places(_) => false,
        }
    }

    /// From when it is as good as absent.
    pub(crate) fn ends(&self, limit: &Limit) -> u64 {
        match self {
            Self::Moment(state) => state.ends,
            Self::Log(log) => log.ends(limit),
            Self::Places(places) => places.ends(),
        }
    }

    /// Until when more than half of the quota is in use, if nothing more is consumed.
    pub(crate) fn scarce_until(&self, limit: &Limit) -> u64 {
        match self {
            Self::Moment(state) => limit.scarce_until(*state),
            Self::Log(log) if log.used > limit.quota / 2 => log.ends(limit),
            Self::Log(_) => 0,
            Self::Places(places) => places.ends(),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Moment(_) => 0,
            Self::Log(log) => log.heap_bytes(),
            Self::Places(places) => places.heap_bytes(),
        }
    }
}
