//! Receiving a body: into the fill that clients read, and then into the store.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::time::{Instant, timeout};

use super::{arriving::Fill, bounds::Bounds, in_flight::Lead, storing::Storing};
use crate::cache::{error::BoxError, policy::StoredHead};

/// A body to receive: it is shared while it arrives, and stored at its end.
pub(crate) struct Receiving<B> {
    pub(crate) body: B,
    /// Held until the store has the response; until then this process finds it in flight.
    pub(crate) lead: Arc<Lead>,
    /// `None` for a response that is not to be stored.
    pub(crate) storing: Option<Storing>,
    pub(crate) head: Arc<StoredHead>,
    pub(crate) length: Option<u64>,
    pub(crate) bounds: Bounds,
}

impl<B> Receiving<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) async fn run(self) {
        let Self {
            body,
            lead,
            mut storing,
            head,
            length,
            bounds,
        } = self;
        let fill = lead.fill();
        let body = pin!(body);
        let receiving = receive(body, &lead, &mut storing, length, bounds);
        let received = unless(lead.forsaken(), receiving).await;
        fill.end(received.unwrap_or_else(|| Err(FORSAKEN.into())));
        if let (Some(storing), Some(found)) = (storing, fill.found()) {
            storing.store(&head, found.body).await;
        }
    }
}

const FORSAKEN: &str = "its clients have gone away";

/// Receives the body to its end, which has to be where the head declared it. A body that exceeds
/// its bounds goes on to those who read it already and is not stored.
async fn receive<B>(
    mut body: Pin<&mut B>,
    lead: &Lead,
    storing: &mut Option<Storing>,
    length: Option<u64>,
    bounds: Bounds,
) -> Result<(), Arc<str>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let fill = lead.fill();
    let mut received = 0_u64;
    let mut kept = true;
    loop {
        if kept {
            if Instant::now() >= bounds.lapse {
                fill.pass_on();
            }
            if fill.is_passing() {
                kept = false;
                lead.close();
                // Dropping it takes the announcement back.
                *storing = None;
            }
        }
        if poll_fn(|cx| fill.poll_demand(&bounds, cx)).await.is_none() {
            return Err(FORSAKEN.into());
        }
        let patience = match kept {
            true => bounds.idle.min(bounds.lapse.duration_since(Instant::now())),
            false => bounds.idle,
        };
        let frame = match next(body.as_mut(), patience).await {
            Ok(frame) => frame,
            Err(_) if kept && Instant::now() >= bounds.lapse => continue,
            Err(idle) => return Err(idle.into()),
        };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    received += data.len() as u64;
                    if length.is_some_and(|length| received > length) {
                        return Err("the body is longer than its head declares".into());
                    }
                    if !data.is_empty() {
                        fill.push(&data, &bounds);
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        fill.trailers(trailers);
                    }
                }
            },
            Some(Err(error)) => return Err(error.into().to_string().into()),
            None if length.is_some_and(|length| length != received) => {
                return Err("the body is shorter than its head declares".into());
            }
            None => return Ok(()),
        }
    }
}

/// The next frame, or an error if it takes longer than `patience`.
async fn next<B: Body>(
    mut body: Pin<&mut B>,
    patience: Duration,
) -> Result<Option<Result<Frame<B::Data>, B::Error>>, &'static str> {
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx));
    let frame = timeout(patience, frame).await;
    frame.map_err(|_| "nothing of the body came for too long")
}

/// The output of `future`, or `None` if `end` completes first.
pub(crate) async fn unless<F: Future>(end: impl Future, future: F) -> Option<F::Output> {
    let (mut end, mut future) = (pin!(end), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// The complete body, if it stays within the bounds and arrives whole. It counts towards the
/// memory of `fill`.
pub(crate) async fn collect<B>(body: B, fill: &Fill, bounds: Bounds) -> Option<Bytes>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = next(body.as_mut(), bounds.idle).await.ok()? {
        if let Ok(data) = frame.ok()?.into_data() {
            whole.extend_from_slice(&data);
        }
        let length = whole.len() as u64;
        let is_beyond = length > bounds.limit || !fill.hold(length, &bounds);
        if is_beyond || Instant::now() >= bounds.lapse {
            return None;
        }
    }
    Some(whole.freeze())
}
