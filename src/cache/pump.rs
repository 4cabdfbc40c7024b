//! Receiving a body: into the fill that its clients read, and then into the store.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use super::{
    body::BoxError,
    fill::Fill,
    in_flight::Lead,
    policy::{Piece, StoredHead},
    storing::Storing,
};

/// The rest of a response that is to be stored.
pub(super) struct Pump<B> {
    pub(super) body: B,
    /// Held until the store has the response: until then this process finds it in flight.
    pub(super) lead: Arc<Lead>,
    pub(super) storing: Storing,
    pub(super) head: Arc<StoredHead>,
    pub(super) length: Option<u64>,
    pub(super) limit: u64,
}

impl<B> Pump<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) async fn run(self) {
        let Self {
            body,
            lead,
            storing,
            head,
            length,
            limit,
        } = self;
        let fill = lead.fill();
        fill.end(receive(pin!(body), fill, length, limit).await);
        if let Some(body) = fill.body() {
            storing.store(&head, body).await;
        }
    }
}

/// Receives the body to its end, which has to be the declared one.
async fn receive<B>(
    mut body: Pin<&mut B>,
    fill: &Fill,
    length: Option<u64>,
    limit: u64,
) -> Result<(), Arc<str>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut received = 0_u64;
    loop {
        if poll_fn(|cx| fill.poll_room(limit, cx)).await.is_none() {
            return Err("its client has gone away".into());
        }
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    received += data.len() as u64;
                    if !data.is_empty() {
                        fill.push(data, limit);
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
                return Err("the body is not as long as its head declares".into());
            }
            None => return Ok(()),
        }
    }
}

/// The whole body, if it is not longer than `limit` and comes to its end.
pub(super) async fn collect<B: Body<Data = Bytes>>(body: B, limit: u64) -> Option<Bytes> {
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            whole.extend_from_slice(&data);
        }
        if whole.len() as u64 > limit {
            return None;
        }
    }
    Some(whole.freeze())
}

/// The body that the pieces of two others make.
pub(super) fn assemble(pieces: &[Piece], stored: &Bytes, new: &Bytes) -> Bytes {
    let mut whole = BytesMut::new();
    for piece in pieces {
        let (body, range) = match piece {
            Piece::Stored(range) => (stored, range),
            Piece::New(range) => (new, range),
        };
        whole.extend_from_slice(&slice(body, range.clone()));
    }
    whole.freeze()
}

/// The part of `body` that is in `range`.
pub(super) fn slice(body: &Bytes, range: std::ops::Range<u64>) -> Bytes {
    let end = usize::try_from(range.end)
        .unwrap_or(usize::MAX)
        .min(body.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    body.slice(start..end)
}
