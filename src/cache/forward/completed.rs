//! A stored part of a response, completed by another part (RFC 9111 §3.4).

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::{
    outcome::{Forwarded, Outcome},
    times::Times,
};
use crate::cache::{
    cache_status::CacheStatus,
    fill::{Storing, collect},
    lookup::{Found, Stamps, slice},
    policy::Piece,
};

impl Forwarded {
    /// The outcome of a 206 that completes the stored part. `None` if the two do not fit.
    pub(crate) async fn combine<B>(
        &self,
        found: Found,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Option<Outcome<B>>
    where
        B: Body<Data = Bytes>,
    {
        let (parts, body) = response.into_parts();
        let bounds = self.bounds(times, self.state.options.max_body);
        let rest = collect(body, self.lead.fill(), bounds).await;
        let combined = rest.and_then(|rest| {
            let head = times.head(parts.status, &parts.headers);
            let (stored, new) = (found.length(), rest.len() as u64);
            let policy = &self.state.options.policy;
            let (request, adjust) = (self.client.head(), self.client.terms());
            let combined = policy.combine(&request, &found.head, stored, &head, new, adjust)?;
            let body = assemble(&combined.body, &found.body, &rest);
            let found = Found {
                head: Arc::new(combined.head),
                body,
                version: None,
                stamps: Stamps::default(),
            };
            Some((found, combined.own))
        });
        let (found, own) = combined?;
        let status = CacheStatus {
            stored: true,
            ..self.status(Some(parts.status))
        };
        let mut answer = self.state.answer(&self.client, &found, &status);
        own.add_to(answer.headers_mut());
        let body = found.body.clone();
        Some(Outcome {
            response: answer,
            rest: Some(Box::pin(self.store(found, Some(body), storing))),
        })
    }
}

/// The body made of pieces of two others, in a buffer of exactly its length.
fn assemble(pieces: &[Piece], stored: &Bytes, new: &Bytes) -> Bytes {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Stored(range) => slice(stored, range.clone()),
            Piece::New(range) => slice(new, range.clone()),
        })
        .collect();
    pieces.concat().into()
}
