//! Several limiters that are asked as one, each about a subject of its own: a cost is taken of all
//! of them or of none.
//!
//! Where one command can name the keys of all subjects, that is one script call, and the store
//! itself takes of all or of none. On a cluster the subjects lie in different slots: each is asked
//! by a call of its own, side by side, and where one denies or does not answer, what the others
//! were charged is given back before the denial is told, or after it where that would come later
//! than the store's deadline.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision,
    exchange::Exchange,
    local_denials::{Known, Recheck},
    part::Part,
    permit::Permit,
    question::Answer,
    waiting::{Waiting, WaitingRoom},
};
use crate::{
    store::{StoreError, operations::limit::Subject},
    to_the_end::to_the_end,
};

/// A question to several limiters of one store.
#[derive(Debug, Clone)]
pub(crate) struct JointAsk {
    pub(crate) parts: Arc<[Part]>,
    pub(crate) cost: u64,
    /// Whether some of the cost may be given back.
    pub(crate) reserves: bool,
}

/// The answer, once it is there.
pub(crate) type JointQuestion = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl JointAsk {
    pub(crate) fn question(self) -> JointQuestion {
        Box::pin(self.answer())
    }

    async fn answer(self) -> Answer {
        let answer = self.decide().await;
        answer.count(self.cost);
        answer
    }

    async fn decide(&self) -> Answer {
        let mut waiting: Option<Waiting> = None;
        let may_wait = self.waiting_room().is_some();
        loop {
            let mut asked = false;
            let denied = match self.known() {
                Ok(decision) => decision,
                Err(rechecks) => match self.exchange(may_wait, rechecks).await {
                    Answer::Decided(permit) if !permit.is_admitted() => {
                        asked = true;
                        permit.into_decision()
                    }
                    answer => return answer,
                },
            };
            if !self.waits(&mut waiting, &denied) {
                // A ban counts what is denied in the end.
                let bans = self.parts.iter().any(|part| part.limits.ban.is_some());
                if may_wait && asked && bans && self.cost > 0 && !denied.is_banned() {
                    drop(waiting.take());
                    return self.exchange(false, self.no_rechecks()).await;
                }
                return Answer::Decided(Permit::new(denied, Vec::new()));
            }
            if let Some(waiting) = &mut waiting {
                poll_fn(|cx| waiting.poll(cx)).await;
            }
        }
    }

    /// What those limiters say that know that the request is to be denied, or else whose answers
    /// decide about a denial that they know.
    fn known(&self) -> Result<RateLimitDecision, Vec<Option<Recheck>>> {
        let now = Instant::now();
        let mut denied = RateLimitDecision::default();
        let mut rechecks = Vec::with_capacity(self.parts.len());
        for part in &*self.parts {
            rechecks.push(match part.known(self.cost, now) {
                Known::Recheck(recheck) => Some(recheck),
                Known::Nothing => None,
                Known::Denied { outcomes, banned } => {
                    denied.add(part.decision(&outcomes, banned));
                    None
                }
            });
        }
        match denied.is_admitted() {
            true => Err(rechecks),
            false => Ok(denied),
        }
    }

    /// Asks the store, to the end: what was taken for a caller who has left is given back.
    async fn exchange(&self, may_wait: bool, rechecks: Vec<Option<Recheck>>) -> Answer {
        let exchange =
            Exchange::new(&self.parts, self.cost, self.reserves, may_wait, rechecks).run();
        let answer = to_the_end(exchange).await;
        answer.unwrap_or(Answer::Unavailable(StoreError::Unavailable))
    }

    /// Whether a denied request waits rather than being refused: where the first limiter that lets
    /// requests wait has room.
    fn waits(&self, waiting: &mut Option<Waiting>, denied: &RateLimitDecision) -> bool {
        let now = Instant::now();
        if let Some(waiting) = waiting {
            return waiting.again(denied.wait_behind(0), now);
        }
        let room = self.waiting_room();
        let wait = |before| denied.wait_behind(before);
        *waiting = room.and_then(|(room, subject)| room.enter(subject, self.cost, wait, now));
        waiting.is_some()
    }

    fn waiting_room(&self) -> Option<(&WaitingRoom, Subject)> {
        let mut parts = self.parts.iter();
        parts.find_map(|part| Some((part.waiting_room()?, part.subject)))
    }

    fn no_rechecks(&self) -> Vec<Option<Recheck>> {
        self.parts.iter().map(|_| None).collect()
    }
}
