//! A response while it arrives, shared by all requests that wait for it.
//!
//! One task writes it; its own client and the collapsed requests read it (see
//! [`reader`](super::reader)). It stays in [`in_flight`](super::in_flight) until the store has the
//! response, so that this process can reuse it as soon as a client has the last byte.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    bounds::Bounds,
    buffer::Buffer,
    memory::{FillMemory, Share},
    stage::{Answered, Stage},
};
use crate::{
    cache::{
        clock::now,
        lookup::{Found, Stamps},
        policy::Failure,
    },
    store::operations::response::{Generation, Stamp, Version},
};

/// What stands in the store when a response is asked for. Anything else later: it was invalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) generation: Option<Generation>,
    /// The stamp of all purges.
    pub(crate) purges: Option<Stamp>,
}

/// One response under way.
pub(crate) struct Fill {
    /// When the inner service was asked, in Unix milliseconds.
    began: u64,
    shared: Mutex<Shared>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) stage: Stage,
    /// The generation it is announced under and the version it will be stored as, once the store
    /// has been told.
    announced: Option<(Announced, Version)>,
    pub(crate) body: Buffer,
    /// What the body takes of the memory for all fills.
    pub(super) share: Share,
    /// The body is no longer kept, only passed on to those who read it already: it is too long, or
    /// its lease is over.
    pub(crate) passing: bool,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) end: Option<Result<(), Arc<str>>>,
    /// How many bytes each reader has read, by its place.
    pub(crate) readers: BTreeMap<u64, u64>,
    /// The place of the client for which the inner service was asked.
    pub(crate) leader: Option<u64>,
    /// The wakers of those who wait, by place. Whoever leaves removes its own.
    pub(crate) waiting: BTreeMap<u64, Waker>,
    /// The writing task, while it waits for readers.
    pub(crate) writer: Option<Waker>,
    pub(crate) places: u64,
    /// How many places are taken.
    pub(crate) present: usize,
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
    /// A fill whose body counts towards the `memory` of all.
    pub(crate) fn within(memory: &Arc<FillMemory>) -> Self {
        let shared = Shared {
            share: Share::of(memory),
            ..Shared::default()
        };
        Self {
            shared: Mutex::new(shared),
            ..Self::default()
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `change`, then wakes all who wait.
    fn change<R>(&self, change: impl FnOnce(&mut Shared) -> R) -> R {
        let (result, waiting) = {
            let mut shared = self.lock();
            (change(&mut shared), std::mem::take(&mut shared.waiting))
        };
        waiting.into_values().for_each(Waker::wake);
        result
    }

    /// When the inner service was asked, in Unix milliseconds.
    pub(crate) fn began(&self) -> u64 {
        self.began
    }

    /// Notes that the store was told, and that the response will be stored as `version`.
    pub(crate) fn begun(&self, announced: Announced, version: Version) {
        self.lock().announced = Some((announced, version));
    }

    /// What stood in the store when it was announced, if it was.
    pub(crate) fn announced(&self) -> Option<Announced> {
        let shared = self.lock();
        let (announced, _) = shared.announced.as_ref()?;
        Some(announced.clone())
    }

    /// Notes the head: from now on the response can be shared.
    pub(crate) fn answered(&self, answered: Answered) {
        self.change(|shared| shared.stage = Stage::Answered(answered));
    }

    /// Notes a response that is complete at once: a stored body under a validated head.
    pub(crate) fn complete(&self, found: &Found) {
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

    /// Notes that the inner service failed. Each request that waits decides whether it may send a
    /// stale response of its own.
    pub(crate) fn failed(&self, failure: Failure) {
        self.settle(Stage::Failed(failure));
    }

    /// Notes that the answer is not to be shared.
    pub(crate) fn refuse(&self) {
        self.settle(Stage::Refused);
    }

    /// Lets nobody wait for the head any longer.
    pub(crate) fn lapse(&self) {
        self.settle(Stage::Gone);
    }

    /// Ends the waiting and the reading: the task that wrote it is gone.
    pub(crate) fn abandon(&self) {
        self.lapse();
        self.change(|shared| {
            shared
                .end
                .get_or_insert_with(|| Err("the response was not received to its end".into()));
        });
    }

    /// Ends the waiting for a head, unless it has ended already.
    fn settle(&self, stage: Stage) {
        self.change(|shared| {
            if matches!(shared.stage, Stage::Asked) {
                shared.stage = stage;
            }
        });
    }

    /// Adds a chunk. When the body has become too long to be kept, or the memory for all bodies is
    /// used up, it is only passed on from then on.
    pub(crate) fn push(&self, chunk: &[u8], bounds: &Bounds) {
        self.change(|shared| {
            shared.body.push(chunk);
            shared.share.set(shared.body.held());
            if shared.body.end() > bounds.limit || shared.share.is_beyond(bounds.memory) {
                shared.pass_on();
            }
        });
    }

    /// Counts `bytes` that are held for this fill outside its buffer. Returns whether the memory
    /// for all bodies still suffices.
    pub(crate) fn hold(&self, bytes: u64, bounds: &Bounds) -> bool {
        let mut shared = self.lock();
        shared.share.set(bytes);
        !shared.share.is_beyond(bounds.memory)
    }

    /// Stops keeping the body: from now on it is only passed on to those who read it already.
    pub(crate) fn pass_on(&self) {
        self.change(Shared::pass_on);
    }

    pub(crate) fn is_passing(&self) -> bool {
        self.lock().passing
    }

    pub(crate) fn trailers(&self, trailers: HeaderMap) {
        self.change(|shared| shared.trailers = Some(trailers));
    }

    /// Ends the body. An error reaches all who read it.
    pub(crate) fn end(&self, result: Result<(), Arc<str>>) {
        self.change(|shared| {
            if result.is_err() {
                shared.stage = Stage::Gone;
            }
            shared.end = Some(result);
        });
    }

    /// The response, if its body is complete: it can be used like one that was found in the store.
    pub(crate) fn found(&self) -> Option<Found> {
        let mut shared = self.lock();
        match &shared.stage {
            Stage::Answered(answered) if answered.failure.is_none() => {
                let head = answered.head.clone();
                let version = shared.version();
                shared.whole().map(|body| Found {
                    head,
                    body,
                    version,
                    stamps: Stamps::default(),
                })
            }
            _ => None,
        }
    }
}

impl Shared {
    /// The version that the response will be stored as, if the store was told.
    pub(crate) fn version(&self) -> Option<Version> {
        self.announced.as_ref().map(|(_, version)| *version)
    }

    fn pass_on(&mut self) {
        if !self.passing {
            self.passing = true;
            self.stage = Stage::Refused;
        }
    }

    /// The complete body, if it has arrived and was kept. It counts as complete once it is as long
    /// as its head declares, because its client may stop reading there, before the inner service
    /// ends it.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        let is_whole = match (&self.end, &self.stage) {
            (Some(result), _) => result.is_ok(),
            (None, Stage::Answered(answered)) => answered.length == Some(self.body.end()),
            (None, _) => false,
        };
        (is_whole && !self.passing).then(|| self.body.whole())
    }
}

impl fmt::Debug for Fill {
    /// Without the response.
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
