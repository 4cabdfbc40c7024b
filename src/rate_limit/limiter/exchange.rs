//! What is exchanged with the store for a question to several limiters: the question, and where it
//! was denied by some what the others have taken goes back.

use tokio::time::{Instant, timeout};

use super::{
    decision::RateLimitDecision,
    inquiry::{Inquiry, Instead},
    local_denials::Recheck,
    part::Part,
    permit::Permit,
    question::Answer,
};
use crate::{
    store::{
        Store, StoreError,
        operations::limit::{AcquireEach, Said},
    },
    to_the_end::to_the_end,
};

/// A question under way.
pub(super) struct Exchange {
    /// One a part.
    inquiries: Vec<Inquiry>,
    /// Whether the caller may give some of the cost back.
    reserves: bool,
    sent_at: Instant,
}

/// What each was answered; `None` where nothing is limited.
type Answers = Vec<Option<Said>>;

impl Exchange {
    /// `may_wait` is whether a denial need not be the answer, and `rechecks` which answers decide
    /// about a denial that the process knows.
    pub(super) fn new(
        parts: &[Part],
        cost: u64,
        reserves: bool,
        may_wait: bool,
        rechecks: Vec<Option<Recheck>>,
    ) -> Self {
        let parts = parts.iter().cloned().zip(rechecks);
        let inquiry = |(part, recheck)| Inquiry::new(part, cost, may_wait, recheck);
        let inquiries = parts.map(inquiry);
        Self {
            inquiries: inquiries.collect(),
            reserves,
            sent_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) -> Answer {
        let Some(store) = self.inquiries.first().map(|first| first.store().clone()) else {
            return Answer::Unlimited;
        };
        let (answers, refusal) = self.ask(&store).await;
        let admits = |said: &Said| said.refused.is_admitted();
        if refusal.is_none() && answers.iter().flatten().all(admits) {
            return self.admitted(answers);
        }
        if let Some(giving_back) = self.give_back(&store, &answers) {
            // No answer comes later than the store's own would have.
            let left = store.deadline().saturating_sub(self.sent_at.elapsed());
            let _ = timeout(left, to_the_end(giving_back)).await;
        }
        match refusal {
            Some(error) => Answer::Unavailable(error),
            None => self.denied(&answers),
        }
    }

    /// One trip. The error is that of a limiter which refuses what it does not know.
    async fn ask(&mut self, store: &Store) -> (Answers, Option<StoreError>) {
        let groups = self.groups(store);
        // What one step takes it takes of all or of none. Of several each may have to go back.
        let reserves = self.reserves || groups.len() > 1;
        let question = groups.iter().map(|group| {
            let each = group.iter().map(|at| self.inquiries[*at].acquire(reserves));
            AcquireEach(each.collect())
        });
        let replies = store.execute(question.collect::<Vec<_>>()).await;
        let mut answers: Answers = self.inquiries.iter().map(|_| None).collect();
        let mut refusal = None;
        for (group, reply) in groups.into_iter().zip(replies) {
            match reply {
                Ok(said) => {
                    for (at, said) in group.into_iter().zip(said) {
                        self.inquiries[at].remember(&said.refused, self.sent_at);
                        answers[at] = Some(said);
                    }
                }
                Err(error) => {
                    for at in group {
                        match self.without_the_store(at, &error).await {
                            Ok(instead) => answers[at] = instead,
                            Err(error) => refusal = Some(error),
                        }
                    }
                }
            }
        }
        (answers, refusal)
    }

    /// Which can be asked by one command.
    fn groups(&self, store: &Store) -> Vec<Vec<usize>> {
        if !store.is_split_by_slot() {
            return vec![(0..self.inquiries.len()).collect()];
        }
        let subject = |at: usize| self.inquiries[at].part().subject;
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for at in 0..self.inquiries.len() {
            let same = |group: &&mut Vec<usize>| subject(group[0]) == subject(at);
            match groups.iter_mut().find(same) {
                Some(group) => group.push(at),
                None => groups.push(vec![at]),
            }
        }
        groups
    }

    /// What takes the place of an answer that has failed; `None` where nothing is limited then.
    async fn without_the_store(
        &mut self,
        at: usize,
        error: &StoreError,
    ) -> Result<Option<Said>, StoreError> {
        let inquiry = &mut self.inquiries[at];
        match inquiry.without_the_store(error) {
            Instead::Unlimited => Ok(None),
            Instead::Refused => Err(error.clone()),
            Instead::Local => {
                // The others may deny.
                let ask = AcquireEach(vec![inquiry.acquire(true)]);
                let said = inquiry.store().execute(ask).await.ok();
                // It may have no room: nothing passes uncounted by accident.
                let said = said.and_then(|mut said| said.pop());
                said.map(Some).ok_or_else(|| error.clone())
            }
        }
    }

    fn admitted(&self, answers: Answers) -> Answer {
        let each = self.inquiries.iter().zip(answers);
        let permits =
            each.filter_map(|(inquiry, said)| Some(inquiry.permit(said?.acquired, self.reserves)));
        match permits.reduce(Permit::and) {
            Some(permit) => Answer::Decided(permit),
            None => Answer::Unlimited,
        }
    }

    fn denied(&self, answers: &Answers) -> Answer {
        let mut decision = RateLimitDecision::default();
        for (inquiry, said) in self.inquiries.iter().zip(answers) {
            if let Some(said) = said {
                decision.add(inquiry.decision(&said.refused));
            }
        }
        Answer::Decided(Permit::new(decision, Vec::new()))
    }

    /// What gives back what those have charged that admitted a request which is denied after all:
    /// one trip. What cannot be given back, because the store fails here too, stays charged and
    /// comes back by time, places with their lease: no more than this request's cost, once.
    fn give_back(
        &self,
        store: &Store,
        answers: &Answers,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (mut batch, mut charged) = (Vec::new(), Vec::new());
        for (inquiry, said) in self.inquiries.iter().zip(answers) {
            let Some(marks) = said.as_ref().and_then(|said| said.acquired.marks.clone()) else {
                continue;
            };
            charged.push(inquiry.part().clone());
            match inquiry.is_local() {
                true => drop(inquiry.store().execute(inquiry.give_back(marks))),
                false => batch.push(inquiry.give_back(marks)),
            }
        }
        if charged.is_empty() {
            return None;
        }
        let execute = store.execute(batch);
        Some(async move {
            for (settled, released) in execute.await {
                let results = [settled].into_iter().chain(released);
                for error in results.filter_map(Result::err) {
                    tracing::debug!(target: "tower_keep::rate_limit", %error, "what a denied request was charged was not given back");
                }
            }
            for part in charged {
                // Others may have been denied for this request's sake.
                part.limits.local_denials.end(part.subject);
            }
        })
    }
}
