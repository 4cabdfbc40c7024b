//! Creating a session.

use std::sync::Arc;

use super::{
    access::{field, millis},
    bounds::{Fields, Size},
    record::{Record, SessionState},
    reply::next,
    rules::{Lifetime, Rules},
};
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::{Holds, Table, exact, replace},
    operations::session_index::{IndexState, is_revoked, note},
    redis::{Command, Commands, Script},
};

pub(crate) static CREATE: Script = Script::new(include_str!("create.lua"));

/// Stores a new session. Its key must come from a fresh random id, and its fields be within the
/// bounds. One `EVALSHA`.
#[derive(Debug)]
pub(crate) struct CreateSession {
    pub(crate) key: Key,
    pub(crate) rules: Rules,
    /// What is stored of when it ends; `None` by the rules alone.
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) lineage: Arc<str>,
    /// Who is logged in.
    pub(crate) user: Option<Bound>,
    pub(crate) fields: Fields,
}

/// The user of a new session, and what its place holds.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) user: Arc<str>,
    pub(crate) place: Key,
    pub(crate) id_hash: Box<str>,
}

impl<M: Holds<SessionState> + Holds<IndexState>> Batch<M> for CreateSession {
    /// Whether it is stored: not if it was revoked before.
    type Output = Result<bool, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        let (sessions, index): (&Table<SessionState>, &Table<IndexState>) =
            (memory.table(), memory.table());
        let record = Record {
            lineage: self.lineage.clone(),
            user: self.user.as_ref().map(|bound| bound.user.clone()),
            created: now,
            issued: now,
            touched: now,
            lifetime: self.lifetime,
            previous: None,
            size: Size::of(&self.fields),
            fields: Arc::new(
                (self.fields.iter())
                    .map(|(name, value)| (name.clone(), exact(value)))
                    .collect(),
            ),
        };
        let rules = self.rules.of(self.lifetime);
        sessions.update(&self.key, now, |live| {
            if let Some(bound) = &self.user {
                if is_revoked(index, &bound.place, now) {
                    return Ok(false);
                }
                note(index, &bound.place, &bound.id_hash, now, rules.absolute)?;
            }
            replace(
                live,
                SessionState::Live(record),
                now,
                rules.life(rules.absolute),
            );
            Ok(true)
        })?
    }

    fn commands(&self, out: &mut Commands) {
        let bound = self.user.as_ref();
        let rules = self.rules.of(self.lifetime);
        let command = match bound {
            Some(bound) => Command::script(&CREATE, &[&self.key, &bound.place]),
            None => Command::script(&CREATE, &[&self.key]),
        };
        let command = command
            .arg(&*self.lineage)
            .arg(millis(rules.life(rules.absolute)))
            .arg(format!("{:x}", Size::of(&self.fields).bytes))
            .arg(bound.map_or("", |bound| &bound.user))
            .arg(bound.map_or("", |bound| &bound.id_hash))
            .arg(millis(rules.absolute))
            .arg(self.lifetime.map(Lifetime::text).unwrap_or_default());
        let fields = self.fields.iter();
        out.push(fields.fold(command, |command, (name, value)| {
            command.arg(field(name)).arg(&**value)
        }));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        next(replies)?.integer().map(|stored| stored == 1)
    }
}
