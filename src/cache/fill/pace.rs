//! How fast the rest of a body is fetched, and for whom.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use super::{arriving::Fill, bounds::Bounds};

/// How many bytes a body that is only passed on is read ahead of its client.
const AHEAD: u64 = 64 << 10;

impl Fill {
    /// Ready when the next chunk may be fetched. While the body is kept that is always so;
    /// afterwards it goes at the pace of its own client or, once that has left, of the fastest
    /// reader. `None` when nobody reads it.
    pub(crate) fn poll_demand(&self, bounds: &Bounds, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let shared = &mut *self.lock();
        if !shared.passing {
            return Poll::Ready(Some(()));
        }
        let of_leader = shared.leader.and_then(|place| shared.readers.get(&place));
        let Some(&pace) = of_leader.or_else(|| shared.readers.values().max()) else {
            return Poll::Ready(None);
        };
        let slowest = shared.readers.values().min().copied().unwrap_or(pace);
        // When memory is used up: one chunk at a time, and little for readers that are behind.
        let (ahead, behind) = match shared.share.is_beyond(bounds.memory) {
            true => (1, bounds.limit.min(AHEAD)),
            false => (bounds.limit.clamp(1, AHEAD), bounds.limit),
        };
        shared
            .body
            .drop_before(slowest.max(pace.saturating_sub(behind)));
        shared.share.set(shared.body.held());
        if shared.body.end() - pace < ahead {
            return Poll::Ready(Some(()));
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Completes when nobody waits for the response or reads it. For the writing task.
    pub(crate) async fn deserted(&self) {
        poll_fn(|cx| {
            let mut shared = self.lock();
            if shared.present == 0 {
                return Poll::Ready(());
            }
            shared.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
