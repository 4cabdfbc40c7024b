//! The future of a store call.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    batch::Batch,
    operations::Memory,
    redis::{Call, Commands, Results, Topology, all_failed},
};

/// The results of a batch: at once from embedded memory, after one round trip from Redis.
///
/// Named and unboxed for memory; a call to Redis is boxed once, for all layers.
pub(crate) struct Execute<B: Batch<Memory>>(State<B>);

enum State<B: Batch<Memory>> {
    Done(Option<B::Output>),
    Call {
        batch: B,
        commands: usize,
        call: Call,
    },
}

// Nothing in it is pinned: the call is on the heap.
impl<B: Batch<Memory>> Unpin for Execute<B> {}

impl<B: Batch<Memory>> Execute<B> {
    pub(super) fn done(output: B::Output) -> Self {
        Self(State::Done(Some(output)))
    }

    /// Sends the batch's commands. One of none sends nothing.
    pub(super) fn on(redis: &Topology, batch: B, deadline: Duration) -> Self {
        let mut list = Commands::new();
        batch.commands(&mut list);
        let commands = list.len();
        if commands == 0 {
            return Self::done(batch.replies(&mut Results::new().into_iter()));
        }
        match redis.call(list, deadline) {
            Ok(call) => Self(State::Call {
                batch,
                commands,
                call,
            }),
            Err(error) => Self::done(batch.replies(&mut all_failed(&error, commands).into_iter())),
        }
    }

    /// Whether the results are there already, as those of embedded memory are.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.0, State::Done(Some(_)))
    }

    /// The results if they are there already, as those of embedded memory are; else the future.
    pub(crate) fn into_ready(self) -> Result<B::Output, Self> {
        match self.0 {
            State::Done(Some(output)) => Ok(output),
            state => Err(Self(state)),
        }
    }
}

impl<B: Batch<Memory>> Future for Execute<B> {
    type Output = B::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Done(output) => Poll::Ready(
                output
                    .take()
                    .expect("a future is not polled after it is done"),
            ),
            State::Call {
                batch,
                commands,
                call,
            } => call.as_mut().poll(cx).map(|results| {
                let results = results.unwrap_or_else(|error| all_failed(&error, *commands));
                batch.replies(&mut results.into_iter())
            }),
        }
    }
}
