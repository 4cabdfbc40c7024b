//! A call: commands sent to one server and answered within a deadline.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    command::Commands,
    lane::Link,
    queue::{Answer, Misdirected, Pending},
    reply::{Results, all_failed},
    server::Redis,
};
use crate::store::{error::StoreError, state::StoreState};

/// The longest deadline: points in time are not counted to any end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a server has answered to a call.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) results: Results,
    /// Commands that are for another server of its cluster.
    pub(super) misdirected: Option<Box<Misdirected>>,
}

impl From<Results> for Answered {
    fn from(results: Results) -> Self {
        Self {
            results,
            misdirected: None,
        }
    }
}

impl From<Answered> for Results {
    fn from(answered: Answered) -> Self {
        answered.results
    }
}

/// A call that waits for its answer. A caller that stops waiting does not learn whether the server is
/// silent, and so neither do those that call later: a look that goes on without it finds that out.
struct Unanswered<'a> {
    redis: &'a Arc<Redis>,
    deadline: Duration,
    is_answered: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.redis.look(self.deadline / 2, self.deadline);
        }
    }
}

/// How far a call has come.
enum Progress {
    /// There was no connection to send it on.
    Unsent(Box<Commands>),
    Sent(Link, Pending),
    Answered(Link, Box<Answer>),
}

impl Redis {
    /// Sends `commands` at once. What they are answered comes in one round trip, or an error within
    /// `deadline`. Of a cluster's server it is [`Answered`], as it may leave commands to another one.
    pub(super) fn call<T: From<Answered>>(
        self: &Arc<Self>,
        commands: Commands,
        deadline: Duration,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T> {
        let deadline = deadline.min(LONGEST);
        self.note(deadline);
        let progress = match self.link_in_use() {
            None => Progress::Unsent(commands.into()),
            Some(link) => {
                let answer = link.send(commands);
                Progress::Sent(link, answer)
            }
        };
        self.clone().complete(progress, deadline)
    }

    async fn complete<T: From<Answered>>(
        self: Arc<Self>,
        progress: Progress,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        let mut passed = Duration::ZERO;
        let progress = match progress {
            Progress::Sent(link, mut answer) => {
                let mut half = pin!(sleep(deadline / 2));
                let mut unanswered = Unanswered {
                    redis: &self,
                    deadline,
                    is_answered: false,
                };
                let answered = poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
                    Poll::Ready(answered) => Poll::Ready(Some(answered)),
                    Poll::Pending => half.as_mut().poll(cx).map(|()| None),
                });
                let answered = answered.await;
                // From here on looks are the business of who goes on waiting.
                unanswered.is_answered = true;
                match answered {
                    // Nearly all calls end here.
                    Some(Answer::Done(results)) => {
                        self.lanes.replied(&link);
                        return Ok(Answered::from(results).into());
                    }
                    Some(answered) => {
                        let left = half.deadline().saturating_duration_since(Instant::now());
                        passed = (deadline / 2).saturating_sub(left);
                        Progress::Answered(link, answered.into())
                    }
                    None => {
                        passed = deadline / 2;
                        Progress::Sent(link, answer)
                    }
                }
            }
            other => other,
        };
        // On the heap, so that the others are a small future.
        let answered = Box::pin(self.persevere(progress, deadline, passed)).await?;
        Ok(answered.into())
    }

    /// Does what it takes to get a call answered of whose deadline this has `passed`. Looks
    /// meanwhile whether the server is silent.
    #[cold]
    async fn persevere(
        self: &Arc<Self>,
        progress: Progress,
        deadline: Duration,
        passed: Duration,
    ) -> Result<Answered, StoreError> {
        let mut link = None;
        // Held by the attempt until it ends.
        let on = &mut link;
        {
            let mut attempt = pin!(self.attempt(progress, deadline / 3, on));
            let mut left = deadline - passed;
            for rest in [deadline / 2, deadline / 4] {
                // Step by step and not until a point in time: a clock that leaps costs one step.
                if left > rest
                    && let Ok(result) = timeout(left - rest, &mut attempt).await
                {
                    return result;
                }
                left = rest;
                self.look(left, deadline);
            }
            if let Ok(result) = timeout(left, attempt).await {
                return result;
            }
        }
        self.unanswered(link.as_ref(), deadline);
        Err(StoreError::DeadlineExceeded(deadline))
    }

    /// Finds out whom a call waited for in vain. A server that has answered others meanwhile
    /// is alive, and slow with this call only; so is a connection.
    fn unanswered(self: &Arc<Self>, link: Option<&Link>, deadline: Duration) {
        let lately = deadline / 2;
        if !self.lanes.any_replied_within(lately) {
            self.trip(deadline);
        } else if let Some(link) = link
            && !self.lanes.replied_within(link, lately)
        {
            self.replace(link);
        }
    }

    /// Waits for a call's answer. When its connection is lost, the commands that may be sent twice
    /// are, and the others fail.
    async fn attempt(
        self: &Arc<Self>,
        progress: Progress,
        patience: Duration,
        on: &mut Option<Link>,
    ) -> Result<Answered, StoreError> {
        let (lost, commands) = match self.answer(progress, on).await? {
            Answer::Lost(lost, commands) => (lost, commands),
            answered => return Ok(self.accept(answered, patience, on).await),
        };
        let mut results = all_failed(&StoreError::Connection(lost.clone()), commands.len());
        let again = commands.into_iter().enumerate();
        let again = again.filter(|(_, command)| command.is_replayable());
        let (places, again): (Vec<_>, Commands) = again.unzip();
        if again.is_empty() {
            return Err(StoreError::Connection(lost));
        }
        let count = again.len();
        let mut answered = match self.answer(Progress::Unsent(again.into()), on).await {
            Ok(answered) => self.accept(answered, patience, on).await,
            Err(error) => all_failed(&error, count).into(),
        };
        for (place, result) in places.iter().zip(answered.results) {
            results[*place] = result;
        }
        for (place, _) in answered
            .misdirected
            .iter_mut()
            .flat_map(|all| all.iter_mut())
        {
            *place = places[*place];
        }
        answered.results = results;
        Ok(answered)
    }

    /// Leaves the link it waits on in `on`.
    async fn answer(
        self: &Arc<Self>,
        progress: Progress,
        on: &mut Option<Link>,
    ) -> Result<Answer, StoreError> {
        let (link, answer) = match progress {
            Progress::Answered(link, answer) => (on.insert(link), *answer),
            Progress::Sent(link, answer) => (on.insert(link), answer.await),
            Progress::Unsent(commands) => {
                let link = on.insert(self.link().await?);
                let answer = link.send(*commands).await;
                (link, answer)
            }
        };
        match &answer {
            Answer::Lost(why, _) => self.lose(link, why),
            Answer::Done(_) | Answer::Misdirected(..) => self.lanes.replied(link),
        }
        Ok(answer)
    }

    /// The results of a call that was answered.
    async fn accept(
        self: &Arc<Self>,
        answer: Answer,
        patience: Duration,
        on: &mut Option<Link>,
    ) -> Answered {
        match answer {
            Answer::Done(results) => results.into(),
            Answer::Lost(lost, commands) => {
                all_failed(&StoreError::Connection(lost), commands.len()).into()
            }
            Answer::Misdirected(results, misdirected) if self.source.is_redirected() => Answered {
                results,
                misdirected: Some(misdirected),
            },
            Answer::Misdirected(mut results, misdirected) => {
                let again = self.send_to_the_master(*misdirected, &mut results, on);
                // Whatever comes of it, what only reads has its reply.
                let _ = timeout(patience, again).await;
                results.into()
            }
        }
    }

    /// Sends the commands once more that a replica has refused, if the master is found. A replica
    /// has executed nothing of them.
    async fn send_to_the_master(
        self: &Arc<Self>,
        misdirected: Misdirected,
        results: &mut Results,
        on: &mut Option<Link>,
    ) {
        let is_worth_waiting = self.replica.suspect();
        self.connect();
        if !is_worth_waiting || !self.replica.master_is_back().await {
            return;
        }
        for (place, command) in misdirected {
            let alone = Progress::Unsent(Box::new(Commands::from_iter([command])));
            results[place] = match self.answer(alone, on).await {
                Ok(Answer::Done(mut again) | Answer::Misdirected(mut again, _)) => {
                    again.pop().unwrap_or(Err(StoreError::Unavailable))
                }
                Ok(Answer::Lost(lost, _)) => Err(StoreError::Connection(lost)),
                Err(error) => Err(error),
            };
        }
    }

    /// A lane's link, if calls can be sent at once.
    fn link_in_use(&self) -> Option<Link> {
        match self.breaker.state() {
            StoreState::Ready | StoreState::Degraded => self.lanes.next(),
            StoreState::Connecting | StoreState::Unavailable => None,
        }
    }

    /// A lane's link. Waits while lanes are being connected, and fails at once while the
    /// breaker is open.
    async fn link(self: &Arc<Self>) -> Result<Link, StoreError> {
        loop {
            let changed = self.breaker.changed();
            match self.breaker.state() {
                StoreState::Ready | StoreState::Degraded => {
                    if let Some(link) = self.lanes.next() {
                        return Ok(link);
                    }
                    self.breaker.lost();
                    self.connect();
                }
                StoreState::Connecting => self.connect(),
                StoreState::Unavailable => return Err(StoreError::Unavailable),
            }
            changed.await;
        }
    }
}
