//! Several limiters that are asked as one, each about a subject of its own: a cost is taken of all
//! of them or of none.
//!
//! Where one command can name the keys of all subjects, that is one script call, and the store
//! itself takes of all or of none. On a cluster the subjects lie in different slots: each is asked
//! by a call of its own, side by side, and where one denies or does not answer, what the others
//! were charged is given back before the denial is told.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision, exchange::Exchange, local_denials::Known, part::Part,
    permit::Permit, question::Answer, waiting::Waiting,
};
use crate::{store::StoreError, to_the_end::to_the_end};

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
        loop {
            let denied = match self.known() {
                Ok(decision) => decision,
                Err(rechecks) => match self.exchange(rechecks).await {
                    Answer::Decided(permit) if !permit.is_admitted() => permit.into_decision(),
                    answer => return answer,
                },
            };
            if !self.waits(&mut waiting, &denied) {
                return Answer::Decided(Permit::new(denied, Vec::new()));
            }
            if let Some(waiting) = &mut waiting {
                poll_fn(|cx| waiting.poll(cx)).await;
            }
        }
    }

    /// What those limiters say that know that the request is to be denied, or else whose answers
    /// decide about a denial that they know.
    fn known(&self) -> Result<RateLimitDecision, Vec<bool>> {
        let now = Instant::now();
        let mut denied = RateLimitDecision::default();
        let mut rechecks = Vec::with_capacity(self.parts.len());
        for part in &*self.parts {
            let known = part.known(self.cost, now);
            rechecks.push(matches!(known, Known::Recheck));
            if let Known::Denied { outcomes, banned } = known {
                denied.add(part.decision(&outcomes, banned));
            }
        }
        match denied.is_admitted() {
            true => Err(rechecks),
            false => Ok(denied),
        }
    }

    /// Asks the store, to the end: what was taken for a caller who has left is given back.
    async fn exchange(&self, rechecks: Vec<bool>) -> Answer {
        let exchange = Exchange::new(self, rechecks).run();
        let answer = to_the_end(exchange).await;
        answer.unwrap_or(Answer::Unavailable(StoreError::Unavailable))
    }

    /// Whether a denied request waits rather than being refused: where the first limiter that lets
    /// requests wait has room.
    fn waits(&self, waiting: &mut Option<Waiting>, denied: &RateLimitDecision) -> bool {
        let now = Instant::now();
        if let Some(waiting) = waiting {
            return waiting.again(denied, now);
        }
        let mut parts = self.parts.iter();
        let room = parts.find_map(|part| Some((part.limits.waiting_room.as_ref()?, part.subject)));
        *waiting = room.and_then(|(room, subject)| room.enter(subject, self.cost, denied, now));
        waiting.is_some()
    }
}
