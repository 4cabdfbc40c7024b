//! Finding the stored response that a request selects, in one round trip as a rule.
//!
//! This room knows how a stored response is written ([`encoding`]), what its variants are called
//! ([`variant`]) and what this process remembers so that it needs one round trip and no decoding
//! ([`vary_memory`], [`decoded`]). It does not know what a stored response may be used for.

mod decoded;
pub(crate) mod encoding;
mod found;
pub(crate) mod variant;
mod vary_memory;

use std::sync::Arc;

use self::{
    decoded::DecodedHeads,
    vary_memory::{VaryLists, VaryMemory},
};
use super::{
    client_request::ClientRequest,
    invalidation::{Hidden, Invalidations},
    policy::{Forward, StoredHead},
};
use crate::store::{
    Key, RefusalKind, Store, StoreError, Timestamp,
    operations::response::{Discard, Generation, Lookup, StoredVariants},
};

pub(crate) use self::found::{Found, LookupError, slice};

/// The stored responses of a cache, and what this process remembers of them.
#[derive(Debug)]
pub(crate) struct StoredResponses {
    pub(crate) store: Store,
    vary: VaryMemory,
    decoded: DecodedHeads,
    invalidations: Arc<Invalidations>,
}

impl StoredResponses {
    pub(crate) fn new(store: Store, invalidations: Arc<Invalidations>) -> Self {
        Self {
            store,
            vary: VaryMemory::default(),
            decoded: DecodedHeads::default(),
            invalidations,
        }
    }

    /// The variant that the request selects, as far as this process knows.
    pub(crate) fn guess(&self, client: &ClientRequest) -> Box<str> {
        self.vary
            .newest_variant(&client.primary, &client.parts.headers)
    }

    /// Remembers what a response varies by, so that the next lookup of this process guesses right.
    pub(crate) fn learn_vary(&self, key: &Key, head: &StoredHead) {
        self.vary.learn(key, &head.vary().to_list());
    }

    /// Whether what was asked for at `begun`, in Unix milliseconds, was invalidated since, as far
    /// as this process knows better than the store.
    pub(crate) fn is_out_of_date(&self, key: &Key, begun: u64) -> bool {
        let invalidations = &self.invalidations;
        invalidations.hidden(key) == Some(Hidden::UntilTaken) || begun <= invalidations.watermark()
    }

    /// The stored response that the request selects, if it can be read without waiting and is not
    /// known to be out of date. `None` says nothing: ask [`find`](Self::find).
    pub(crate) fn at_once(&self, client: &ClientRequest, now: Timestamp) -> Option<Found> {
        let key = &client.primary;
        if self.invalidations.hidden(key).is_some() {
            return None;
        }
        let headers = &client.parts.headers;
        let select = |list: &str| variant::selected_digits(list, headers);
        let stored = Lookup::at_once(self.store.table()?, key, now, select)?;
        let found = self.decoded.found(&stored, encoding::decode)?;
        // Checked again after the lookup: it may have become out of date meanwhile.
        let is_hidden = self.invalidations.hidden(key).is_some();
        (!is_hidden && !self.invalidations.is_over(&found.head)).then_some(found)
    }

    /// The stored response that the request selects, or why there is none; and the generation of
    /// the key.
    pub(crate) async fn find(
        &self,
        client: &ClientRequest,
    ) -> Result<(Result<Found, Forward>, Option<Generation>), LookupError> {
        let key = &client.primary;
        let headers = &client.parts.headers;
        let mut asked: Vec<Box<str>> = Vec::new();
        let mut lists = self.vary.lists(key);
        loop {
            let variants: Vec<_> = lists
                .iter()
                .filter_map(|list| variant::selected(list, headers))
                .filter(|variant| !asked.contains(variant))
                .collect();
            let reply = self.read(key, variants.clone()).await?;
            if let Some(found) = self.readable(key, &variants, &reply).await {
                return Ok((Ok(found), reply.generation));
            }
            if reply.vary.is_empty() {
                return Ok((Err(Forward::UriMiss), reply.generation));
            }
            asked.extend(variants);
            let new = reply.vary.iter().any(|list| {
                variant::selected(list, headers).is_some_and(|variant| !asked.contains(&variant))
            });
            let stored = VaryLists::from(reply.vary);
            if stored != lists {
                self.vary.remember(key, stored.clone());
            }
            if !new {
                return Ok((Err(Forward::VaryMiss), reply.generation));
            }
            lists = stored;
        }
    }

    /// What the store has of these variants, unless an invalidation of the key is pending.
    async fn read(
        &self,
        key: &Key,
        variants: Vec<Box<str>>,
    ) -> Result<StoredVariants, LookupError> {
        let hidden = || self.invalidations.hidden(key);
        let before = hidden();
        if before == Some(Hidden::UntilTaken) {
            return Err(LookupError::InvalidationPending);
        }
        let lookup = Lookup {
            key: key.clone(),
            variants,
        };
        let reply = match self.store.execute(lookup).await {
            // The key holds something else, which a fill replaces.
            Err(StoreError::Refused {
                kind: RefusalKind::WrongType,
                ..
            }) => StoredVariants::default(),
            reply => reply?,
        };
        // Checked again after the reply: it may have become out of date meanwhile, or come from
        // another server. And an invalidation that was on its way before the lookup may have been
        // overtaken by it on another connection.
        match hidden().or(before) {
            None => Ok(reply),
            Some(Hidden::ForNow) => Ok(StoredVariants {
                generation: reply.generation,
                ..StoredVariants::default()
            }),
            Some(Hidden::UntilTaken) => Err(LookupError::InvalidationPending),
        }
    }

    /// The first of the variants that can be read. Those that cannot are removed from the store, so
    /// that they do not keep the next response out.
    async fn readable(
        &self,
        key: &Key,
        variants: &[Box<str>],
        reply: &StoredVariants,
    ) -> Option<Found> {
        let mut damaged = Vec::new();
        for (variant, stored) in variants.iter().zip(&reply.variants) {
            let Some(stored) = stored else { continue };
            match self.decoded.found(stored, encoding::decode) {
                Some(found) if self.invalidations.is_over(&found.head) => {}
                Some(found) => return Some(found),
                None => damaged.push(variant.clone()),
            }
        }
        if !damaged.is_empty() {
            let discard = Discard {
                key: key.clone(),
                variants: damaged,
            };
            if let Err(error) = self.store.execute(discard).await {
                tracing::debug!(target: "tower_keep::cache", %error, "a response that cannot be read was not discarded");
            }
        }
        None
    }
}
