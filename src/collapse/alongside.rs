//! Work, and what is done again and again while it lasts.

use std::{convert::Infallible, future::poll_fn, pin::pin, task::Poll};

/// Runs `upkeep` in the same task as `work` until that is done.
pub(crate) async fn alongside<T>(
    work: impl Future<Output = T>,
    upkeep: impl Future<Output = Infallible>,
) -> T {
    let (mut work, mut upkeep) = (pin!(work), pin!(upkeep));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let Poll::Pending = upkeep.as_mut().poll(cx);
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_upkeep_runs_as_long_as_the_work() {
        let times = Cell::new(0);
        let upkeep = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                times.set(times.get() + 1);
            }
        };
        let work = async {
            sleep(Duration::from_millis(3_500)).await;
            "done"
        };
        assert_eq!(alongside(work, upkeep).await, "done");
        assert_eq!(times.get(), 3);
    }
}
