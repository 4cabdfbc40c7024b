//! The future of a store call.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::operation::Batch;
#[cfg(feature = "redis")]
use super::{error::StoreError, redis::Results};

/// The results of a batch: at once from embedded memory, after one round trip from Redis.
///
/// Named and unboxed for memory; a call to Redis is boxed once, here, for all layers.
pub(crate) struct Execute<B: Batch>(State<B>);

enum State<B: Batch> {
    Done(Option<B::Output>),
    #[cfg(feature = "redis")]
    Redis {
        batch: B,
        commands: usize,
        call: Call,
    },
}

#[cfg(feature = "redis")]
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Results, StoreError>> + Send>>;

// Nothing in it is pinned: the call is on the heap.
impl<B: Batch> Unpin for Execute<B> {}

impl<B: Batch> Execute<B> {
    pub(super) fn done(output: B::Output) -> Self {
        Self(State::Done(Some(output)))
    }

    /// Whether the results are there already, as those of embedded memory are.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.0, State::Done(Some(_)))
    }

    /// The results if they are there already, as those of embedded memory are; else the future.
    #[cfg(feature = "cache")]
    pub(crate) fn into_ready(self) -> Result<B::Output, Self> {
        match self.0 {
            State::Done(Some(output)) => Ok(output),
            state => Err(Self(state)),
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn redis(batch: B, commands: usize, call: Call) -> Self {
        Self(State::Redis {
            batch,
            commands,
            call,
        })
    }
}

/// Gives every command of a call that failed as a whole the same error.
#[cfg(feature = "redis")]
pub(super) fn all_failed(error: &StoreError, commands: usize) -> Results {
    (0..commands).map(|_| Err(error.clone())).collect()
}

impl<B: Batch> Future for Execute<B> {
    type Output = B::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Done(output) => Poll::Ready(
                output
                    .take()
                    .expect("a future is not polled after it is done"),
            ),
            #[cfg(feature = "redis")]
            State::Redis {
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
