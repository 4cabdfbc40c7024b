//! The half on embedded memory: a look at the states, and what is stored afterwards.

use super::{Acquire, Acquired, Marks};
use crate::store::operations::limit::{
    algorithm::{BanState, Kept, Level, PerLimit, Standing},
    state::LimitState,
};

/// What a subject holds before the request.
pub(super) struct Seen {
    pub(super) levels: PerLimit<Level>,
    /// Where the clock was set back: that is stored for denied requests too.
    cut: PerLimit<bool>,
    pub(super) standing: Standing,
    ban: Option<BanState>,
}

impl Acquire {
    pub(super) fn see(&self, states: &mut LimitState, now: u64) -> Seen {
        let seen = (self.limits.iter()).map(|named| {
            let kept = states.get_mut(named).map(|held| &mut held.kept);
            Kept::level(kept, &named.limit, now, self.cost)
        });
        let (levels, cut) = seen.unzip();
        let ban = self.ban.as_ref().and_then(|ban| states.ban(&ban.key_name));
        let standing = match &self.ban {
            Some(named) => named.ban.standing(ban, now),
            None => Standing::default(),
        };
        Seen {
            levels,
            cut,
            standing,
            ban,
        }
    }

    /// Takes back what was charged at `now`, in the same step.
    pub(super) fn take_back(&self, states: &mut LimitState, now: u64) {
        for named in &*self.limits {
            let Some(held) = states.get_mut(named) else {
                continue;
            };
            let mark = held.kept.mark(now);
            match &mut held.kept {
                Kept::Places(places) => places.release(self.place),
                kept => kept.refund(&named.limit, mark, self.cost, now),
            }
            match held.kept.is_empty(&named.limit) {
                true => states.remove(named),
                false => held.settle(&named.limit),
            }
        }
    }

    /// Stores what follows, and answers the marks of a reservation. `admitted` is whether the
    /// request consumes, `acquired` what these limits said.
    pub(super) fn commit(
        &self,
        states: &mut LimitState,
        now: u64,
        seen: &Seen,
        acquired: &Acquired,
        admitted: bool,
    ) -> Option<Marks> {
        if let Some(ban) = &self.ban
            && self.cost > 0
            && !acquired.is_admitted()
            && (self.counts_denial || seen.standing.left > 0)
        {
            let (state, _) = ban.ban.deny(seen.ban, now);
            states.set_ban(&ban.key_name, state, state.forgotten_at(&ban.ban));
        }
        let cost = if admitted { self.cost } else { 0 };
        let mut marks = (self.reserves && cost > 0).then(Marks::default);
        states.reserve(self.limits.len());
        let each = self.limits.iter().zip(&acquired.outcomes).zip(&seen.cut);
        for ((named, outcome), cut) in each {
            if self.cost > 0 && (admitted || *cut) {
                let (limit, level) = (&named.limit, outcome.level);
                let held = states.change(named, now, |kept| {
                    Kept::charged(kept, limit, now, cost, level, self.place)
                });
                if let Some(marks) = &mut marks {
                    marks.marks.push(held.kept.mark(now));
                    marks.began.push(held.began);
                }
            }
        }
        marks
    }
}
