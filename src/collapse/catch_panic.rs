//! A panic as a result, for work that others wait for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// Runs a future to its end or to its panic. The panic hook has reported the panic by then.
    pub(crate) struct CatchPanic<F> {
        #[pin]
        future: F,
    }
}

/// The future panicked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl<F: Future> CatchPanic<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        // Nobody looks at the future again: after a panic it is only dropped.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_before_and_after_an_await_is_a_result() {
        let at_once = async { panic!("at once") };
        assert_eq!(
            CatchPanic::new(at_once).await.map(|(): ()| ()),
            Err(Panicked)
        );
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(CatchPanic::new(later).await.map(|(): ()| ()), Err(Panicked));
        assert_eq!(CatchPanic::new(async { 1 }).await, Ok(1));
    }
}
