//! Sending the commands of concurrent calls together.
//!
//! What is waiting when a connection's task runs goes to the server as one pipeline: redis-rs' part of
//! the work, a write and a wakeup are then paid once for all of them. A call waits for the tasks that
//! are ready and for nothing that is yet to come, and what was sent never holds up what comes later.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use smallvec::SmallVec;
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};

use super::{
    command::{Command, Commands},
    connection::Connection,
    exchange::{exchange, outcome},
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

/// It is answered however the connection's task ends.
#[derive(Debug)]
struct Waiting {
    commands: Commands,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Waiting {
    fn is_given_up(&self) -> bool {
        (self.answer.as_ref()).is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            let commands = std::mem::take(&mut self.commands);
            let _ = answer.send(Answer::runtime_ended(commands));
        }
    }
}

/// What has come of a call's commands.
#[derive(Debug)]
pub(super) enum Answer {
    Done(Results),
    /// Some are for another server, and come back.
    Misdirected(Results, Box<Misdirected>),
    /// The connection was lost, and why. They may have been executed.
    Lost(Arc<str>, Box<Commands>),
}

/// Commands of which a server has executed nothing, as they are for another one, and their places in
/// the call.
pub(super) type Misdirected = SmallVec<[(usize, Command); 1]>;

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
        // What cannot be sent is dropped, and so answered.
        let _ = self.0.send(Waiting {
            commands,
            answer: Some(answer),
        });
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
    let mut has_yielded = false;
    let mut step = |cx: &mut Context<'_>| {
        // A runtime of several threads runs a task right after the one that has woken it. Other tasks
        // that are ready may be about to call, too: this one goes behind them once, so that what they
        // send leaves together.
        has_yielded = !has_yielded && !waiting.is_empty();
        if has_yielded {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
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

/// Calls whose commands are one pipeline. They too are answered however the task ends.
struct Together {
    commands: Pipeline,
    /// Which of the commands are each call's, and who waits for its answer.
    answers: Vec<(Range<usize>, oneshot::Sender<Answer>)>,
}

impl Drop for Together {
    fn drop(&mut self) {
        for (own, answer) in self.answers.drain(..) {
            let commands = self.commands.copy(own).collect();
            let _ = answer.send(Answer::runtime_ended(commands));
        }
    }
}

impl Together {
    /// Puts all `calls` together but those of which nobody waits for the answer any more. One with more
    /// commands than are sent together stands alone.
    fn all(calls: &mut Vec<Waiting>, mut put: impl FnMut(Self)) {
        let mut together = Self::with_capacity(calls.len());
        for call in calls.drain(..).filter(|call| !call.is_given_up()) {
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

    fn add(&mut self, mut call: Waiting) {
        let from = self.commands.len();
        self.commands.extend(std::mem::take(&mut call.commands));
        let own = from..self.commands.len();
        self.answers
            .extend(call.answer.take().map(|answer| (own, answer)));
    }

    /// Sends them and gives each call its answer. What was lost to one call is not lost to those that
    /// have their replies.
    async fn send(mut self, mut connection: Connection, refusals: &Refusals) {
        let sent = exchange(&mut connection, &self.commands).await;
        let Self { commands, answers } = &mut self;
        let outcomes = sent.into_iter().zip(commands.iter());
        let mut outcomes = outcomes.map(|(sent, (_, about))| outcome(sent?, about, refusals));
        for (own, answer) in answers.drain(..) {
            let mut lost = None;
            let results = outcomes.by_ref().take(own.len());
            let results =
                results.filter_map(|outcome| outcome.map_err(|why| lost = Some(why)).ok());
            let results: Results = results.collect();
            let answered = match lost {
                Some(why) => Answer::Lost(why, Box::new(commands.copy(own).collect())),
                None if results.iter().any(|result| refusals.is_for_another(result)) => {
                    let commands = commands.copy(own).enumerate().zip(&results);
                    let misdirected =
                        commands.filter(|(_, result)| refusals.is_for_another(result));
                    let misdirected: Misdirected = misdirected.map(|(own, _)| own).collect();
                    Answer::Misdirected(results, misdirected.into())
                }
                None => Answer::Done(results),
            };
            let _ = answer.send(answered);
        }
    }
}
