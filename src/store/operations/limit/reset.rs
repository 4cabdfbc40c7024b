//! Give a subject its whole quotas back.

use std::sync::Arc;

use super::{
    named::{NamedBan, NamedLimit},
    state::LimitState,
    subject::Subject,
};
use crate::store::redis::{Command, Reply};
use crate::store::{
    batch::Operation, clock::Timestamp, error::StoreError, key::Namespace, memory::Table,
};

/// Forgets what a subject has consumed of the limits, and its ban. One `UNLINK`. Places of
/// concurrency limits stay taken: those requests are under way.
#[derive(Debug)]
pub(crate) struct Reset {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) limits: Arc<[NamedLimit]>,
    pub(crate) ban: Option<NamedBan>,
}

impl Reset {
    fn consumable(&self) -> impl Iterator<Item = &NamedLimit> {
        let limits = self.limits.iter();
        limits.filter(|named| !named.limit.is_concurrency())
    }
}

impl Operation for Reset {
    type Entry = LimitState;
    type Output = ();

    fn run(&self, rate_limits: &Table<LimitState>, now: Timestamp) -> Result<(), StoreError> {
        let key = self.subject.text().key(&self.names, "");
        rate_limits.update(&key, now, |live| {
            if let Some(mut states) = live.take().map(|live| live.value) {
                self.consumable().for_each(|named| states.remove(named));
                if let Some(ban) = &self.ban {
                    states.remove_ban(&ban.key_name);
                }
                *live = states.into_live(now.as_micros());
            }
        })
    }

    fn command(&self) -> Command {
        let subject = self.subject.text();
        let names = self.consumable().map(|named| &named.key_name);
        let names = names.chain(self.ban.iter().map(|ban| &ban.key_name));
        let keys = names.map(|name| subject.key(&self.names, name));
        let mut keys = keys.peekable();
        // A command needs a key: with concurrency limits alone there is nothing to forget.
        match keys.peek() {
            Some(_) => keys.fold(Command::new("UNLINK"), |command, key| command.key(&key)),
            None => Command::new("UNLINK").key(&subject.key(&self.names, "")),
        }
    }

    fn reply(&self, reply: Reply) -> Result<(), StoreError> {
        reply.integer().map(drop)
    }
}
