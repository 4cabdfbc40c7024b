//! Sending the commands of concurrent calls together.
//!
//! What is waiting when a connection's task runs goes to the server as one pipeline: redis-rs' part of
//! the work, a write and a wakeup are then paid once for all of them. A call never waits for others
//! to come, and what was sent never holds up what comes later.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};

use super::{
    command::Commands,
    connection::Connection,
    exchange::{exchange, is_refused_by_a_replica, outcome},
    pipeline::Pipeline,
    refusals::Refusals,
    reply::Results,
};

/// How many commands are sent together at most, if they are of several calls: each of these waits for
/// all replies.
const AT_ONCE: usize = 64;

/// What waits to be sent on a connection. It is as long as there are calls that wait for it: one that
/// gives up before it was sent is dropped.
#[derive(Debug, Clone)]
pub(super) struct Queue(UnboundedSender<Waiting>);

#[derive(Debug)]
struct Waiting {
    commands: Commands,
    answer: oneshot::Sender<Answer>,
}

/// What has come of a call's commands.
#[derive(Debug)]
pub(super) enum Answer {
    Done(Results),
    /// A replica has refused some, and executed nothing of those.
    RefusedByReplica(Results, Box<Commands>),
    /// The connection was lost, and why. They may have been executed.
    Lost(Arc<str>, Box<Commands>),
}

impl Answer {
    /// The connection's task has ended with its runtime.
    fn runtime_ended(commands: Commands) -> Self {
        Self::Lost("the runtime of its task has ended".into(), commands.into())
    }
}

impl Queue {
    /// Starts the task that sends on `connection`. It ends with the last clone of the queue.
    pub(super) fn new(connection: Connection, refusals: Arc<Refusals>) -> Self {
        let (sender, waiting) = mpsc::unbounded_channel();
        tokio::spawn(send_all(waiting, connection, refusals));
        Self(sender)
    }

    pub(super) fn send(&self, commands: Commands) -> Pending {
        let (answer, pending) = oneshot::channel();
        let waiting = Waiting { commands, answer };
        if let Err(mpsc::error::SendError(Waiting { commands, answer })) = self.0.send(waiting) {
            let _ = answer.send(Answer::runtime_ended(commands));
        }
        Pending(pending)
    }
}

/// The answer to a call. It comes even if the connection is lost.
#[derive(Debug)]
pub(super) struct Pending(oneshot::Receiver<Answer>);

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or_else(|_| Answer::runtime_ended(Commands::new())))
    }
}

async fn send_all(
    mut waiting: UnboundedReceiver<Waiting>,
    connection: Connection,
    refusals: Arc<Refusals>,
) {
    let mut calls = Vec::with_capacity(AT_ONCE);
    let mut under_way = FuturesUnordered::new();
    let mut step = |cx: &mut Context<'_>| {
        loop {
            match waiting.poll_recv_many(cx, &mut calls, AT_ONCE) {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) => Together::all(&mut calls, |together| {
                    under_way.push(together.send(connection.clone(), &refusals));
                }),
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {}
        Poll::Pending
    };
    std::future::poll_fn(|cx| step(cx)).await;
}

/// Calls whose commands are one pipeline.
struct Together {
    commands: Pipeline,
    /// How many of the commands are each call's, and who waits for its answer.
    answers: Vec<(usize, oneshot::Sender<Answer>)>,
}

impl Together {
    /// Puts all `calls` together but those of which nobody waits for the answer any more. One with more
    /// commands than are sent together stands alone.
    fn all(calls: &mut Vec<Waiting>, mut put: impl FnMut(Self)) {
        let mut together = Self::with_capacity(calls.len());
        for call in calls.drain(..).filter(|call| !call.answer.is_closed()) {
            if !together.has_room_for(&call) {
                put(std::mem::replace(&mut together, Self::with_capacity(1)));
            }
            together.add(call);
        }
        if !together.answers.is_empty() {
            put(together);
        }
    }

    fn with_capacity(calls: usize) -> Self {
        Self {
            commands: Pipeline::with_capacity(calls),
            answers: Vec::with_capacity(calls),
        }
    }

    fn has_room_for(&self, call: &Waiting) -> bool {
        self.answers.is_empty() || self.commands.len() + call.commands.len() <= AT_ONCE
    }

    fn add(&mut self, call: Waiting) {
        self.answers.push((call.commands.len(), call.answer));
        self.commands.extend(call.commands);
    }

    /// Sends them and gives each call its answer. What was lost to one call is not lost to those that
    /// have their replies.
    async fn send(self, mut connection: Connection, refusals: &Refusals) {
        let Self { commands, answers } = self;
        let sent = exchange(&mut connection, &commands).await;
        let outcomes = sent.into_iter().zip(commands.iter());
        let mut outcomes = outcomes.map(|(sent, (_, about))| outcome(sent?, about, refusals));
        let mut from = 0;
        for (count, answer) in answers {
            let own = from..from + count;
            from = own.end;
            let mut lost = None;
            let results = outcomes.by_ref().take(count);
            let results =
                results.filter_map(|outcome| outcome.map_err(|why| lost = Some(why)).ok());
            let results: Results = results.collect();
            let answered = match lost {
                Some(why) => Answer::Lost(why, commands.copy(own).into()),
                None if results.iter().any(is_refused_by_a_replica) => {
                    Answer::RefusedByReplica(results, commands.copy(own).into())
                }
                None => Answer::Done(results),
            };
            let _ = answer.send(answered);
        }
    }
}
