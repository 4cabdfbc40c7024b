//! A response on its way into the store, shared by all who wait for it.
//!
//! The task that fetches it writes; its client and the collapsed ones read. It stays in
//! [`in_flight`](super::in_flight) until the store has the response, so that the same process
//! can reuse it as soon as a client has its last byte.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::policy::StoredHead;

#[derive(Debug, Default)]
pub(super) struct Fill {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stage: Stage,
    /// The chunks that somebody may still read, the first of them number `first`.
    chunks: VecDeque<Bytes>,
    first: usize,
    received: u64,
    /// What the first client has taken, for the pace once the body outgrew the limit.
    taken: u64,
    leader_gone: bool,
    outgrown: bool,
    /// All chunks in one, once the body has ended and somebody asked for it.
    whole: Option<Bytes>,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), Arc<str>>>,
    waiting: Vec<Waker>,
}

#[derive(Debug, Default, Clone)]
enum Stage {
    /// The inner service has not answered yet.
    #[default]
    Asked,
    /// It answered with something to share; `length` when its head declares one.
    Answered {
        head: Arc<StoredHead>,
        length: Option<u64>,
    },
    /// Nothing to share: uncacheable, failed, or too long.
    Refused,
}

/// What a collapsed request gets.
#[derive(Debug, Clone)]
pub(super) enum Shareable {
    /// The whole response.
    Complete { head: Arc<StoredHead>, body: Bytes },
    /// Its head and a body of `length` bytes that is still arriving.
    Arriving { head: Arc<StoredHead>, length: u64 },
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Shared) -> R) -> R {
        let (result, waiting) = {
            let mut shared = self.lock();
            (change(&mut shared), std::mem::take(&mut shared.waiting))
        };
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    /// The head is there and the response can be shared.
    pub(super) fn answered(&self, head: Arc<StoredHead>, length: Option<u64>) {
        self.change(|shared| shared.stage = Stage::Answered { head, length });
    }

    /// The response is there as a whole (a stored body under a validated head).
    pub(super) fn complete(&self, head: Arc<StoredHead>, body: Bytes) {
        self.change(|shared| {
            let length = body.len() as u64;
            shared.stage = Stage::Answered {
                head,
                length: Some(length),
            };
            shared.received = length;
            shared.chunks.push_back(body);
            shared.end = Some(Ok(()));
        });
    }

    /// Takes in a chunk. Once more than `limit` bytes came, the body is only passed on.
    pub(super) fn push(&self, chunk: Bytes, limit: u64) {
        self.change(|shared| {
            shared.received += chunk.len() as u64;
            shared.chunks.push_back(chunk);
            if shared.received > limit && !shared.outgrown {
                shared.outgrown = true;
                shared.stage = Stage::Refused;
            }
        });
    }

    pub(super) fn trailers(&self, trailers: HeaderMap) {
        self.change(|shared| shared.trailers = Some(trailers));
    }

    /// Ends the body; an error reaches all who read it.
    pub(super) fn end(&self, result: Result<(), Arc<str>>) {
        self.change(|shared| {
            if result.is_err() {
                shared.stage = Stage::Refused;
            }
            shared.end = Some(result);
        });
    }

    /// Whether the next chunk may be fetched: always while the body is within the limit, later
    /// only at the pace of the one client that reads it. `None` when that one is gone.
    pub(super) fn poll_room(&self, limit: u64, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut shared = self.lock();
        if !shared.outgrown {
            return Poll::Ready(Some(()));
        }
        if shared.leader_gone {
            return Poll::Ready(None);
        }
        if shared.received - shared.taken < limit.max(1) {
            return Poll::Ready(Some(()));
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// The next piece for a reader that has had `next` chunks.
    pub(super) fn poll_chunk(
        &self,
        next: usize,
        leader: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Arc<str>>>> {
        let mut shared = self.lock();
        if let Some(chunk) = next
            .checked_sub(shared.first)
            .and_then(|at| shared.chunks.get(at))
        {
            let chunk = chunk.clone();
            if leader {
                shared.taken += chunk.len() as u64;
                if shared.outgrown {
                    // Nobody else reads this body to its end, and nothing is stored of it.
                    while shared.first <= next && shared.chunks.pop_front().is_some() {
                        shared.first += 1;
                    }
                    let waiting = std::mem::take(&mut shared.waiting);
                    drop(shared);
                    waiting.into_iter().for_each(Waker::wake);
                }
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        if next < shared.first {
            return Poll::Ready(Some(Err("the response outgrew the cache".into())));
        }
        match &shared.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                shared.wait(cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn trailers_of_end(&self) -> Option<HeaderMap> {
        self.lock().trailers.clone()
    }

    /// Whoever filled it is gone: nobody waits for what does not come.
    pub(super) fn abandon(&self) {
        self.change(|shared| {
            if shared.end.is_none() {
                shared.stage = Stage::Refused;
                shared.end = Some(Err("the response was not received to its end".into()));
            }
        });
    }

    pub(super) fn leader_gone(&self) {
        self.change(|shared| shared.leader_gone = true);
    }

    /// What there is to share now: `Ready(None)` for nothing, `Pending` while that is open. A
    /// body of unknown length is shared when it has ended, since it may outgrow the limit.
    pub(super) fn poll_shareable(
        &self,
        whole: bool,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<Option<Shareable>> {
        let mut shared = self.lock();
        if let Stage::Answered { head, length } = &shared.stage {
            if shared.end.is_some() {
                let head = head.clone();
                let body = shared.whole();
                return Poll::Ready(Some(Shareable::Complete { head, body }));
            }
            if let (Some(length), false) = (*length, whole) {
                return Poll::Ready(Some(Shareable::Arriving {
                    head: head.clone(),
                    length,
                }));
            }
        } else if matches!(shared.stage, Stage::Refused) {
            return Poll::Ready(None);
        }
        if let Some(cx) = cx {
            shared.wait(cx);
        }
        Poll::Pending
    }

    /// The whole body of a fill that has ended well and within the limit.
    pub(super) fn body(&self) -> Option<Bytes> {
        let mut shared = self.lock();
        let well = matches!(shared.end, Some(Ok(()))) && !shared.outgrown;
        well.then(|| shared.whole())
    }
}

impl Shared {
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    fn whole(&mut self) -> Bytes {
        let chunks = &self.chunks;
        self.whole.get_or_insert_with(|| concat(chunks)).clone()
    }
}

fn concat(chunks: &VecDeque<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks[0].clone(),
        _ => {
            let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
            chunks
                .iter()
                .for_each(|chunk| whole.extend_from_slice(chunk));
            whole.freeze()
        }
    }
}
