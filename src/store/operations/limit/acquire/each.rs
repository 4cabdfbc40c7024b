//! Check the limits of several subjects and consume from all of them, or from none, in one step.

use super::{Acquire, Acquired, redis};
use crate::store::operations::limit::{
    algorithm::{Level, PerLimit, Standing},
    state::LimitState,
};
use crate::store::redis::{Command, Reply};
use crate::store::{
    batch::Operation, clock::Timestamp, error::StoreError, key::Key, memory::Table,
};

/// What is asked of each subject, with one cost. On a cluster the subjects share a slot.
///
/// One `EVALSHA`, of the keys of all of them.
#[derive(Debug)]
pub(crate) struct AcquireEach(pub(crate) Vec<Acquire>);

/// What one subject's limits said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) acquired: Acquired,
    /// What they say where the request is refused for another subject's.
    pub(crate) refused: Acquired,
}

impl AcquireEach {
    fn asked(&self, seen: &[(PerLimit<Level>, Standing)]) -> (Vec<Said>, bool) {
        let refused = self.0.iter().zip(seen);
        let refused =
            refused.map(|(one, (levels, standing))| one.acquired(levels, *standing, true));
        let refused: Vec<_> = refused.collect();
        let admitted = refused.iter().all(Acquired::is_admitted);
        let each = self.0.iter().zip(seen).zip(refused);
        let asked = each.map(|((one, (levels, standing)), refused)| Said {
            acquired: one.acquired(levels, *standing, !admitted),
            refused,
        });
        (asked.collect(), admitted)
    }

    fn reserves(&self) -> bool {
        self.0.iter().any(|one| one.reserves)
    }
}

impl Operation for AcquireEach {
    type Entry = LimitState;
    type Output = Vec<Said>;

    fn run(
        &self,
        rate_limits: &Table<LimitState>,
        now: Timestamp,
    ) -> Result<Vec<Said>, StoreError> {
        // A subject that is named twice has one entry.
        let mut entries: Vec<Key> = Vec::with_capacity(self.0.len());
        let entry_of = |one: &Acquire| {
            let key = one.entry();
            let at = entries.iter().position(|known| *known == key);
            at.unwrap_or_else(|| {
                entries.push(key);
                entries.len() - 1
            })
        };
        let entry_of: Vec<usize> = self.0.iter().map(entry_of).collect();
        rate_limits.update_each(&entries, now, |lives| {
            let now = Timestamp::now().as_micros();
            let states = lives.iter_mut().map(|live| live.take());
            let states = states.map(|live| live.map(|live| live.value).unwrap_or_default());
            let mut states: Vec<LimitState> = states.collect();
            let seen: Vec<_> = (self.0.iter().zip(&entry_of))
                .map(|(one, entry)| one.see(&mut states[*entry], now))
                .collect();
            let levels: Vec<_> = (seen.iter())
                .map(|seen| (seen.levels.clone(), seen.standing))
                .collect();
            let (mut asked, admitted) = self.asked(&levels);
            let each = self.0.iter().zip(&entry_of).zip(&seen).zip(&mut asked);
            for (((one, entry), seen), asked) in each {
                let states = &mut states[*entry];
                let marks = one.commit(states, now, seen, &asked.acquired, admitted);
                asked.acquired.marks = marks;
            }
            let has_room = (entries.iter().zip(&states))
                .all(|(key, states)| rate_limits.has_room_for(key, states));
            if !has_room && admitted {
                for (one, entry) in self.0.iter().zip(&entry_of) {
                    one.take_back(&mut states[*entry], now);
                }
            }
            for (live, states) in lives.iter_mut().zip(states) {
                *live = states.into_live(now);
            }
            match has_room {
                true => Ok(asked),
                false => Err(StoreError::NoRoom),
            }
        })?
    }

    fn command(&self) -> Command {
        redis::command(&self.0, self.reserves())
    }

    fn reply(&self, reply: Reply) -> Result<Vec<Said>, StoreError> {
        let mut numbers = reply.array()?;
        let seen: Result<Vec<_>, _> = self.0.iter().map(|one| one.read(&mut numbers)).collect();
        let (mut asked, admitted) = self.asked(&seen?);
        if self.reserves() && admitted && self.0.iter().any(|one| one.cost > 0) {
            let now = redis::read_time(&mut numbers)?;
            for (one, asked) in self.0.iter().zip(&mut asked) {
                let marks = one.read_marks(&asked.acquired, now, &mut numbers)?;
                asked.acquired.marks = Some(marks);
            }
        }
        Ok(asked)
    }
}
