//! A response on its way into the store, shared by all who wait for it.
//!
//! The task that fetches it writes; its client and the collapsed ones read (see
//! [`reader`](super::reader)). It stays in [`in_flight`](super::in_flight) until the store has the
//! response, so that the same process can reuse it as soon as a client has its last byte.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    buffer::Buffer,
    lookup::Found,
    policy::{Failure, StoredHead},
    pump::Bounds,
    room::{Room, Share},
    state::now,
};
use crate::store::operations::response::{Generation, Version};

pub(super) struct Fill {
    /// When it was asked for, in Unix milliseconds.
    began: u64,
    shared: Mutex<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) stage: Stage,
    /// What the store has announced it under, and will know it by; once it has.
    announced: Option<(Generation, Version)>,
    pub(super) body: Buffer,
    /// The memory that the body takes.
    share: Share,
    /// The body is only passed on to those who read it: it has outgrown the limit or its lease.
    pub(super) passing: bool,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: Option<Result<(), Arc<str>>>,
    /// How far each reader is, by its place.
    pub(super) readers: BTreeMap<u64, u64>,
    /// The place of the client that it was fetched for.
    pub(super) leader: Option<u64>,
    /// Whom to wake, by place: who leaves takes its waker along.
    pub(super) waiting: BTreeMap<u64, Waker>,
    /// The task that waits for its readers.
    pub(super) writer: Option<Waker>,
    pub(super) places: u64,
    /// How many have a place.
    pub(super) present: usize,
}

/// How far a body that is only passed on is read ahead of its client.
const AHEAD: u64 = 64 << 10;

/// What is known of the response.
#[derive(Default, Clone)]
pub(super) enum Stage {
    /// The inner service has not answered yet.
    #[default]
    Asked,
    /// It answered with something to share.
    Answered(Answered),
    /// It failed, and its client got a stale response or the error itself.
    Failed(Failure),
    /// What it answered is for its own client only.
    Refused,
    /// Whoever fetched it is gone, or took longer than the others may have to wait.
    Gone,
}

#[derive(Clone)]
pub(super) struct Answered {
    pub(super) head: Arc<StoredHead>,
    /// When the head declares one.
    pub(super) length: Option<u64>,
    /// The status of a failure: it is shared by those who waited for it, and not kept.
    pub(super) failure: Option<StatusCode>,
}

impl Default for Fill {
    fn default() -> Self {
        Self {
            began: now(),
            shared: Mutex::default(),
        }
    }
}

impl Fill {
    /// A fill whose body takes its memory of `room`.
    pub(super) fn within(room: &Arc<Room>) -> Self {
        let shared = Shared {
            share: Share::of(room),
            ..Shared::default()
        };
        Self {
            shared: Mutex::new(shared),
            ..Self::default()
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `change` do so, and then wakes all who wait.
    fn change<R>(&self, change: impl FnOnce(&mut Shared) -> R) -> R {
        let (result, waiting) = {
            let mut shared = self.lock();
            (change(&mut shared), std::mem::take(&mut shared.waiting))
        };
        waiting.into_values().for_each(Waker::wake);
        result
    }

    /// When it was asked for, in Unix milliseconds.
    pub(super) fn began(&self) -> u64 {
        self.began
    }

    /// It is announced, and will be stored as `version`.
    pub(super) fn begun(&self, generation: Generation, version: Version) {
        self.lock().announced = Some((generation, version));
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        let shared = self.lock();
        let (generation, _) = shared.announced.as_ref()?;
        Some(generation.clone())
    }

    /// The head is there and the response can be shared.
    pub(super) fn answered(&self, answered: Answered) {
        self.change(|shared| shared.stage = Stage::Answered(answered));
    }

    /// The response is there as a whole (a stored body under a validated head).
    pub(super) fn complete(&self, found: &Found) {
        self.change(|shared| {
            shared.stage = Stage::Answered(Answered {
                head: found.head.clone(),
                length: Some(found.body.len() as u64),
                failure: None,
            });
            shared.body = Buffer::of(found.body.clone());
            shared.end = Some(Ok(()));
        });
    }

    /// The inner service failed. Each who waits has its own stale response, or none.
    pub(super) fn failed(&self, failure: Failure) {
        self.settle(Stage::Failed(failure));
    }

    /// There is nothing to share.
    pub(super) fn refuse(&self) {
        self.settle(Stage::Refused);
    }

    /// Nobody waits any longer for its head.
    pub(super) fn lapse(&self) {
        self.settle(Stage::Gone);
    }

    /// Nobody waits for what does not come: whoever fetched it is gone.
    pub(super) fn abandon(&self) {
        self.lapse();
        self.change(|shared| {
            shared
                .end
                .get_or_insert_with(|| Err("the response was not received to its end".into()));
        });
    }

    /// Ends the waiting for a head, unless that has ended.
    fn settle(&self, stage: Stage) {
        self.change(|shared| {
            if matches!(shared.stage, Stage::Asked) {
                shared.stage = stage;
            }
        });
    }

    /// Takes in a chunk. Once more came than is kept, or there is no memory left for what is kept
    /// of all bodies, the body is only passed on.
    pub(super) fn push(&self, chunk: &[u8], bounds: &Bounds) {
        self.change(|shared| {
            shared.body.push(chunk);
            shared.share.set(shared.body.held());
            if shared.body.end() > bounds.limit || shared.share.is_beyond(bounds.memory) {
                shared.pass_on();
            }
        });
    }

    /// Puts down that `bytes` are held for this fill beside its body; whether there is memory left.
    pub(super) fn hold(&self, bytes: u64, bounds: &Bounds) -> bool {
        let mut shared = self.lock();
        shared.share.set(bytes);
        !shared.share.is_beyond(bounds.memory)
    }

    /// From now on the body is only passed on to those who read it already.
    pub(super) fn pass_on(&self) {
        self.change(Shared::pass_on);
    }

    pub(super) fn is_passing(&self) -> bool {
        self.lock().passing
    }

    pub(super) fn trailers(&self, trailers: HeaderMap) {
        self.change(|shared| shared.trailers = Some(trailers));
    }

    /// Ends the body; an error reaches all who read it.
    pub(super) fn end(&self, result: Result<(), Arc<str>>) {
        self.change(|shared| {
            if result.is_err() {
                shared.stage = Stage::Gone;
            }
            shared.end = Some(result);
        });
    }

    /// Whether the next chunk may be fetched: always while the body is kept, later only at the
    /// pace of its own client or, when that is gone, of the fastest of the others. `None` when
    /// nobody reads it.
    pub(super) fn poll_room(&self, bounds: &Bounds, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let shared = &mut *self.lock();
        if !shared.passing {
            return Poll::Ready(Some(()));
        }
        let of_leader = shared.leader.and_then(|place| shared.readers.get(&place));
        let Some(&pace) = of_leader.or_else(|| shared.readers.values().max()) else {
            return Poll::Ready(None);
        };
        let slowest = shared.readers.values().min().copied().unwrap_or(pace);
        // Without memory left, a chunk at a time, and little for those who have fallen behind.
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

    /// Until nobody waits for it or reads it. For the task that writes.
    pub(super) async fn deserted(&self) {
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

    /// The response of a fill whose body is whole: as good as found.
    pub(super) fn found(&self) -> Option<Found> {
        let mut shared = self.lock();
        match &shared.stage {
            Stage::Answered(answered) if answered.failure.is_none() => {
                let head = answered.head.clone();
                let version = shared.version();
                shared.whole().map(|body| Found {
                    head,
                    body,
                    version,
                })
            }
            _ => None,
        }
    }
}

impl Shared {
    /// What the store will know the response by, if it is told.
    pub(super) fn version(&self) -> Option<Version> {
        self.announced.as_ref().map(|(_, version)| *version)
    }

    fn pass_on(&mut self) {
        if !self.passing {
            self.passing = true;
            self.stage = Stage::Refused;
        }
    }

    /// The whole body, if it is there and within the limit. It is once it is as long as its head
    /// declares: its client may take it for ended then, before the inner service ends it.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        let is_whole = match (&self.end, &self.stage) {
            (Some(result), _) => result.is_ok(),
            (None, Stage::Answered(answered)) => answered.length == Some(self.body.end()),
            (None, _) => false,
        };
        (is_whole && !self.passing).then(|| self.body.whole())
    }
}

impl fmt::Debug for Fill {
    /// Without what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.lock();
        f.debug_struct("Fill")
            .field("received", &shared.body.end())
            .field("ended", &shared.end.is_some())
            .field("readers", &shared.readers.len())
            .field("waiting", &shared.waiting.len())
            .finish_non_exhaustive()
    }
}
