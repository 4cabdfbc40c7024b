//! Waiting for a fill: for its head, and then for its body.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;

use super::{
    arriving::{Fill, Shared},
    stage::{Answered, Stage},
};
use crate::cache::{
    error::BoxError,
    lookup::{Found, Stamps},
    policy::{Failure, StoredHead},
};

/// A place among those who wait for a fill or read it. Dropping it removes all trace of it.
pub(crate) struct Place {
    fill: Arc<Fill>,
    number: u64,
}

impl Place {
    fn new(fill: &Arc<Fill>, shared: &mut Shared) -> Self {
        shared.places += 1;
        shared.present += 1;
        Self {
            fill: fill.clone(),
            number: shared.places,
        }
    }

    fn wait(&self, shared: &mut Shared, cx: &Context<'_>) {
        shared.waiting.insert(self.number, cx.waker().clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (waker, writer) = {
            let mut shared = self.fill.lock();
            shared.readers.remove(&self.number);
            shared.present -= 1;
            // The writing task looks again: another reader sets the pace now, or none is left.
            (shared.waiting.remove(&self.number), shared.writer.take())
        };
        drop(waker);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// What a request gets that waited for another one.
pub(crate) enum Shareable {
    /// The complete response. `failure` is the status of a failure, which is not kept.
    Complete {
        found: Found,
        failure: Option<StatusCode>,
    },
    /// The head, and a body that is still arriving.
    Arriving {
        head: Arc<StoredHead>,
        length: Option<u64>,
        failure: Option<StatusCode>,
        reader: Reader,
    },
    /// The inner service failed.
    Failed(Failure),
    /// The answer is not to be shared.
    Refused,
    /// No answer comes.
    Gone,
}

impl Fill {
    /// Waits until the response can be shared; with `whole`, until its body is complete.
    pub(crate) async fn shareable(self: &Arc<Self>, whole: bool) -> Shareable {
        let place = Place::new(self, &mut self.lock());
        poll_fn(|cx| {
            let mut shared = self.lock();
            let answered = match &shared.stage {
                Stage::Answered(answered) => answered.clone(),
                Stage::Failed(failure) => return Poll::Ready(Shareable::Failed(*failure)),
                Stage::Refused => return Poll::Ready(Shareable::Refused),
                Stage::Gone => return Poll::Ready(Shareable::Gone),
                Stage::Asked => {
                    place.wait(&mut shared, cx);
                    return Poll::Pending;
                }
            };
            let Answered {
                head,
                length,
                failure,
            } = answered;
            if let Some(body) = shared.whole() {
                let found = Found {
                    head,
                    body,
                    version: shared.version(),
                    stamps: Stamps::default(),
                };
                return Poll::Ready(Shareable::Complete { found, failure });
            }
            if whole {
                place.wait(&mut shared, cx);
                return Poll::Pending;
            }
            let reader = Reader::new(self, &mut shared, length);
            Poll::Ready(Shareable::Arriving {
                head,
                length,
                failure,
                reader,
            })
        })
        .await
    }

    /// A place for a task that fetches the response for no client.
    pub(crate) fn attend(self: &Arc<Self>) -> Place {
        Place::new(self, &mut self.lock())
    }

    /// The reader of the client for which the inner service was asked. It sets the pace of a body
    /// that is only passed on.
    pub(crate) fn leader(self: &Arc<Self>, length: Option<u64>) -> Reader {
        let mut shared = self.lock();
        let reader = Reader::new(self, &mut shared, length);
        shared.leader = Some(reader.place.number);
        reader
    }
}

/// Reads the body of a fill.
pub(crate) struct Reader {
    place: Place,
    position: u64,
    /// How many bytes are still to come, if the head declared a length.
    left: Option<u64>,
    done: bool,
}

impl Reader {
    fn new(fill: &Arc<Fill>, shared: &mut Shared, length: Option<u64>) -> Self {
        let place = Place::new(fill, shared);
        shared.readers.insert(place.number, 0);
        Self {
            place,
            position: 0,
            left: length,
            done: false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut shared = self.place.fill.lock();
        let fell_behind = self.position < shared.body.start();
        if !fell_behind && let Some(bytes) = shared.body.read(self.position) {
            let length = bytes.len() as u64;
            self.position += length;
            self.left = self.left.map(|left| left.saturating_sub(length));
            shared.readers.insert(self.place.number, self.position);
            let writer = shared.writer.take();
            drop(shared);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = match &shared.end {
            _ if fell_behind => Some(Err("the client fell too far behind the others".into())),
            // Trailers may hold what is for their own client alone, and hits have none either.
            Some(Ok(())) if shared.leader == Some(self.place.number) => {
                shared.trailers.clone().map(|t| Ok(Frame::trailers(t)))
            }
            Some(Ok(())) => None,
            Some(Err(error)) => Some(Err(BoxError::from(error.to_string()))),
            None => {
                self.place.wait(&mut shared, cx);
                return Poll::Pending;
            }
        };
        self.done = true;
        Poll::Ready(frame)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("position", &self.position)
            .field("left", &self.left)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::pin::pin;

    use super::*;
    use crate::cache::fill::bounds::Bounds;

    fn places(fill: &Fill) -> (usize, usize) {
        let shared = fill.lock();
        (shared.waiting.len(), shared.readers.len())
    }

    #[test]
    fn ten_thousand_that_wait_for_a_head_and_leave_leave_no_waker() {
        let fill = Arc::<Fill>::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..10_000 {
            let mut waiting = pin!(fill.shareable(false));
            // However often it is polled, it has one place.
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            assert_eq!(places(&fill), (1, 0));
        }
        assert_eq!((places(&fill), fill.lock().present), ((0, 0), 0));
    }

    #[test]
    fn ten_thousand_that_read_a_body_and_leave_leave_nothing() {
        let fill = Arc::<Fill>::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let bounds = Bounds {
            limit: 100,
            memory: 100,
            lapse: tokio::time::Instant::now(),
            idle: std::time::Duration::ZERO,
        };
        fill.push(b"first", &bounds);
        for _ in 0..10_000 {
            let mut reader = fill.leader(None);
            assert!(reader.poll_frame(&mut cx).is_ready());
            assert!(reader.poll_frame(&mut cx).is_pending());
            assert_eq!(places(&fill), (1, 1));
        }
        assert_eq!(places(&fill), (0, 0));
    }
}
