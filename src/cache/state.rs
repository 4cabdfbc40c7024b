//! What all clones of the service share.

use std::sync::Arc;

use http::{Method, header, request, uri::PathAndQuery};

use super::{
    decoded::DecodedHeads,
    fill::Fill,
    in_flight::InFlight,
    invalidations::{Invalidating, Invalidations},
    key::{PrimaryKey, hex},
    lookup::VaryMemory,
    options::Options,
    policy::{RequestHead, StoredHead},
    uncacheable::Uncacheable,
};
use crate::store::{Key, Store, Timestamp, operations::response};

#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) options: Options,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) vary: Arc<VaryMemory>,
    pub(super) decoded: Arc<DecodedHeads>,
    pub(super) uncacheable: Arc<Uncacheable>,
    pub(super) invalidations: Arc<Invalidations>,
}

/// The client's request without its body, kept while the inner service has a copy of it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) parts: request::Parts,
    /// The primary cache key, as the store and this process know it.
    pub(super) primary: Key,
}

impl Client {
    pub(super) fn view(&self) -> RequestHead<'_> {
        RequestHead::new(&self.parts.method, &self.parts.uri, &self.parts.headers)
    }

    /// Whether others that ask for the same may share the answer of the inner service.
    pub(super) fn is_shareable(&self) -> bool {
        self.parts.method == Method::GET
            && !self.parts.headers.contains_key(header::RANGE)
            && !self.parts.headers.contains_key(header::AUTHORIZATION)
    }
}

impl State {
    /// The primary cache key of the request's own URI.
    pub(super) fn own_key(&self, parts: &request::Parts) -> Option<Key> {
        self.primary_key(parts, None)
    }

    /// The key of `target`, or of the request's own. `None` if the request is not for one site
    /// for certain.
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
        Some(response::key(self.store.names(), primary.as_str()))
    }

    pub(super) fn bypasses(&self, parts: &request::Parts) -> bool {
        self.options
            .bypass
            .as_ref()
            .is_some_and(|bypass| bypass(parts))
    }

    /// The fill of this process that the request would share.
    pub(super) fn fill_of(&self, client: &Client) -> Option<Arc<Fill>> {
        let variant = || self.guess(client);
        self.in_flight.get(&client.primary, variant)
    }

    /// Whether the responses to such requests are not stored, as far as this process knows.
    pub(super) fn is_uncacheable(&self, client: &Client) -> bool {
        self.uncacheable.contains(&client.primary)
    }

    /// The variant that the request selects, as far as this process knows.
    pub(super) fn guess(&self, client: &Client) -> Box<str> {
        self.vary
            .newest_variant(&client.primary, &client.parts.headers)
    }

    /// The name of a stored response's variant.
    pub(super) fn variant_of(head: &StoredHead) -> Box<str> {
        hex(&head.variant().0)
    }

    /// The longest body that may be stored under `head`: the store counts both, and has room for
    /// so much and no more.
    pub(super) fn largest_body(&self, head: &StoredHead) -> u64 {
        /// The store's own bytes about a response, and the parts of a head beside its fields.
        const BESIDE: u64 = 1 << 10;
        let room = self.store.largest::<response::Entry>();
        self.options
            .max_body
            .min(room.saturating_sub(head.size() as u64 + BESIDE))
    }

    /// Bytes that the bodies of all responses under way may take together. On embedded memory a
    /// part of what the responses there take.
    pub(super) fn memory_of_fills(&self) -> u64 {
        const LEAST: u64 = 64 << 20;
        let memory = LEAST.max(self.options.max_body.saturating_mul(4));
        memory.min(self.store.largest::<response::Entry>())
    }

    /// Takes what is stored of `targets` on the request's origin out of the store.
    pub(super) fn invalidate_targets(
        &self,
        parts: &request::Parts,
        targets: &[PathAndQuery],
    ) -> Invalidating {
        let primaries = targets
            .iter()
            .filter_map(|target| self.primary_key(parts, Some(target)));
        self.invalidate(primaries)
    }

    /// Takes all variants of these keys out of the store; in this process they are gone at once,
    /// and whatever happens to the answer.
    pub(super) fn invalidate(&self, primaries: impl IntoIterator<Item = Key>) -> Invalidating {
        let primaries: Vec<_> = primaries.into_iter().collect();
        // Noted first: whoever finds no fill to join finds nothing stored either.
        let invalidating = self.invalidations.invalidate(primaries.clone());
        for primary in &primaries {
            self.in_flight.forget(primary);
        }
        invalidating
    }
}

/// Unix milliseconds: the time as the policy counts it.
pub(super) fn now() -> u64 {
    Timestamp::now().as_millis()
}
