//! Sending the commands of concurrent calls together.
//!
//! What is waiting when a connection's task runs goes to the server as one pipeline: redis-rs' part of
//! the work, a write and a wakeup are then paid once for all of them. A call never waits for others
//! to come, and what was sent never holds up what comes later.

use std::{
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};

use super::{
    command::Commands,
    connection::Connection,
    exchange::{exchange, is_refused_by_a_replica},
    pipeline::Pipeline,
    refusals::Refusals,
    reply::Results,
};

/// How many calls are sent together at most. Each waits for the replies of all.
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
    pub(super) fn runtime_ended(commands: Commands) -> Self {
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

    /// Sends commands; the answer comes even if the connection is lost.
    pub(super) fn send(&self, commands: Commands) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting { commands, answer };
        if let Err(mpsc::error::SendError(Waiting { commands, answer })) = self.0.send(waiting) {
            let _ = answer.send(Answer::runtime_ended(commands));
        }
        receiver
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
                Poll::Ready(_) => {
                    let (commands, answers) = pack(calls.drain(..));
                    if !answers.is_empty() {
                        let connection = connection.clone();
                        under_way.push(send(commands, answers, connection, &refusals));
                    }
                }
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {}
        Poll::Pending
    };
    std::future::poll_fn(|cx| step(cx)).await;
}

/// How many commands of a pipeline are a call's, and who waits for their replies.
type Answers = Vec<(usize, oneshot::Sender<Answer>)>;

/// The commands of several calls as one pipeline, without those of which nobody waits for the
/// replies any more.
fn pack(calls: vec::Drain<'_, Waiting>) -> (Pipeline, Answers) {
    let mut commands = Pipeline::with_capacity(calls.len());
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls.filter(|call| !call.answer.is_closed()) {
        answers.push((call.commands.len(), call.answer));
        commands.extend(call.commands);
    }
    (commands, answers)
}

/// Sends the commands of several calls and gives each its answer.
async fn send(
    commands: Pipeline,
    answers: Answers,
    mut connection: Connection,
    refusals: &Refusals,
) {
    let mut results = match exchange(&mut connection, &commands, refusals).await {
        Ok(results) => Ok(results.into_iter()),
        Err(lost) => Err(lost),
    };
    let mut from = 0;
    for (count, answer) in answers {
        let own = from..from + count;
        from = own.end;
        let answered = match &mut results {
            Ok(results) => {
                let results: Results = results.take(count).collect();
                if results.iter().any(is_refused_by_a_replica) {
                    Answer::RefusedByReplica(results, commands.copy(own).into())
                } else {
                    Answer::Done(results)
                }
            }
            Err(lost) => Answer::Lost(lost.clone(), commands.copy(own).into()),
        };
        let _ = answer.send(answered);
    }
}
