//! What all clones of a service share, and the rules that need several parts of it.

use std::sync::Arc;

use http::{request, uri::PathAndQuery};

use super::{
    client_request::ClientRequest,
    fill::{Fill, InFlight, Storing, Uncacheable},
    invalidation::{Invalidating, Invalidations},
    key::PrimaryKey,
    lookup::StoredResponses,
    options::Options,
    policy::{StoredHead, Tag},
};
use crate::store::{Key, StoreError, operations::response};

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Arc<Options>,
    pub(super) responses: Arc<StoredResponses>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) uncacheable: Arc<Uncacheable>,
    pub(super) invalidations: Arc<Invalidations>,
}

impl State {
    /// The primary cache key of the request's own URI.
    pub(super) fn own_key(&self, parts: &request::Parts) -> Option<Key> {
        self.primary_key(parts, None)
    }

    /// The key of `target`, or of the request's own URI. `None` if it is not certain for which site
    /// the request is.
    pub(super) fn primary_key(
        &self,
        parts: &request::Parts,
        target: Option<&PathAndQuery>,
    ) -> Option<Key> {
        let partition = self
            .options
            .partition
            .as_ref()
            .and_then(|partition| partition(parts));
        let primary = PrimaryKey::new(&parts.uri, &parts.headers, target, partition.as_deref())?;
        Some(response::key(
            self.responses.store.names(),
            primary.as_str(),
        ))
    }

    pub(super) fn bypasses(&self, parts: &request::Parts) -> bool {
        self.options
            .bypass
            .as_ref()
            .is_some_and(|bypass| bypass(parts))
    }

    /// The fill of this process that the request would share.
    pub(super) fn fill_of(&self, client: &ClientRequest) -> Option<Arc<Fill>> {
        let variant = || self.responses.guess(client);
        self.in_flight.get(&client.primary, variant)
    }

    /// Whether the last response to such a request could not be stored, as far as this process knows.
    pub(super) fn is_uncacheable(&self, client: &ClientRequest) -> bool {
        self.uncacheable.contains(&client.primary)
    }

    /// A response to `client` that may be stored, and is not announced yet.
    pub(super) fn storing(&self, client: &ClientRequest) -> Storing {
        Storing::new(
            self.responses.clone(),
            self.options.clone(),
            &client.primary,
        )
    }

    /// The longest body that may be stored under `head`, in bytes: the store has room for a certain
    /// size of both together.
    pub(super) fn largest_body(&self, head: &StoredHead) -> u64 {
        /// Bytes for what the store keeps about a response, and for a head without its fields.
        const BESIDE: u64 = 1 << 10;
        let room = self.responses.store.largest::<response::Entry>();
        self.options
            .max_body
            .min(room.saturating_sub(head.size() as u64 + BESIDE))
    }

    /// How many bytes the bodies of all responses under way may take together. On embedded memory
    /// at most the size of the largest response there.
    pub(super) fn memory_of_fills(&self) -> u64 {
        const LEAST: u64 = 64 << 20;
        let memory = LEAST.max(self.options.max_body.saturating_mul(4));
        memory.min(self.responses.store.largest::<response::Entry>())
    }

    /// Invalidates `targets` on the request's origin, and what has one of the `tags`.
    pub(super) fn invalidate_targets(
        &self,
        parts: &request::Parts,
        targets: &[PathAndQuery],
        tags: &[Tag],
    ) -> Invalidating {
        let primaries = targets
            .iter()
            .filter_map(|target| self.primary_key(parts, Some(target)));
        self.invalidate_all(primaries.collect(), tags)
    }

    /// Removes all variants of these keys, as [`invalidate_all`](Self::invalidate_all) does.
    pub(super) fn invalidate(&self, primaries: impl IntoIterator<Item = Key>) -> Invalidating {
        self.invalidate_all(primaries.into_iter().collect(), &[])
    }

    /// Removes all variants of these keys, and what has one of the `tags`, from the store. This
    /// process does not use them from now on, even if the store cannot be told.
    pub(super) fn invalidate_all(&self, primaries: Vec<Key>, tags: &[Tag]) -> Invalidating {
        let tag_keys = tags.iter().map(|&tag| self.responses.tag_key(tag));
        let keys = primaries.iter().cloned().chain(tag_keys).collect();
        // Noted before the fills are forgotten: a request that finds no fill to join must not find
        // the stored response either.
        let invalidating = self.invalidations.invalidate(keys);
        if tags.is_empty() {
            for primary in &primaries {
                self.in_flight.forget(primary);
            }
        } else {
            // Which tags a response under way has may not be known yet.
            self.in_flight.forget_all();
        }
        invalidating
    }

    /// Makes what has one of the `tags` stale.
    pub(super) async fn soften(&self, tags: &[Tag]) -> Result<(), StoreError> {
        let result = self.responses.soften(tags).await;
        self.in_flight.forget_all();
        result
    }
}
