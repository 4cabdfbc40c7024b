//! Finding the stored response that a request selects, in one round trip as a rule.
//!
//! This room knows how a stored response is written ([`encoding`]), what its variants are called
//! ([`variant`]) and what this process remembers so that it needs one round trip and no decoding
//! ([`vary_memory`], [`tag_memory`], [`decoded`]), and whether the tags of a stored response were
//! purged ([`tags`]). It does not know what a stored response may be used for.

mod decoded;
pub(crate) mod encoding;
mod found;
mod tag_memory;
mod tags;
pub(crate) mod variant;
mod vary_memory;

use std::sync::Arc;

use self::{
    decoded::DecodedHeads,
    tag_memory::TagMemory,
    vary_memory::{VaryLists, VaryMemory},
};
use super::{
    client_request::ClientRequest,
    invalidation::{Hidden, Invalidations},
    policy::{Forward, StoredHead},
};
use crate::store::{
    Key, RefusalKind, Store, StoreError, Timestamp,
    operations::response::{Discard, Generation, Lookup, Stamp, StoredVariants},
};

pub(crate) use self::found::{Found, LookupError, Stamps, slice};

/// The stored responses of a cache, and what this process remembers of them.
#[derive(Debug)]
pub(crate) struct StoredResponses {
    pub(crate) store: Store,
    vary: VaryMemory,
    tags: TagMemory,
    decoded: DecodedHeads,
    invalidations: Arc<Invalidations>,
}

/// What a lookup comes to.
pub(crate) struct Lookedup {
    /// The stored response that the request selects, or why there is none.
    pub(crate) found: Result<Found, Forward>,
    /// The generation of the key.
    pub(crate) generation: Option<Generation>,
    /// The stamp of all purges, if it was asked for.
    pub(crate) purges: Option<Stamp>,
}

/// What of the stored variants a request may use.
enum Usable {
    Found(Found),
    /// What it would have used was purged.
    Purged,
    None,
}

/// What the store answers to a lookup.
struct Read {
    stored: StoredVariants,
    stamps: tags::Current,
    purges: Option<Stamp>,
}

impl StoredResponses {
    pub(crate) fn new(store: Store, invalidations: Arc<Invalidations>) -> Self {
        Self {
            store,
            vary: VaryMemory::default(),
            tags: TagMemory::default(),
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
        let found = self.current_at_once(found, now)?;
        // Checked again after the lookup: it may have become out of date meanwhile.
        let is_hidden = self.invalidations.hidden(key).is_some();
        (!is_hidden && !self.invalidations.is_over(&found.head)).then_some(found)
    }

    /// Looks up the stored response that the request selects, and with `wants_purges` the stamp of
    /// all purges.
    pub(crate) async fn find(
        &self,
        client: &ClientRequest,
        wants_purges: bool,
    ) -> Result<Lookedup, LookupError> {
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
            let Read {
                stored,
                stamps,
                purges,
            } = self.read(key, variants.clone(), wants_purges).await?;
            let usable = self.usable(key, &variants, &stored, stamps).await?;
            let (vary, generation) = (stored.vary, stored.generation);
            let looked_up = |found| Lookedup {
                found,
                generation,
                purges,
            };
            match usable {
                Usable::Found(found) => return Ok(looked_up(Ok(found))),
                Usable::Purged => return Ok(looked_up(Err(Forward::UriMiss))),
                Usable::None if vary.is_empty() => return Ok(looked_up(Err(Forward::UriMiss))),
                Usable::None => {}
            }
            asked.extend(variants);
            let new = vary.iter().any(|list| {
                variant::selected(list, headers).is_some_and(|variant| !asked.contains(&variant))
            });
            let vary = VaryLists::from(vary);
            if vary != lists {
                self.vary.remember(key, vary.clone());
            }
            if !new {
                return Ok(looked_up(Err(Forward::VaryMiss)));
            }
            lists = vary;
        }
    }

    /// What the store has of these variants and of the tags that they are known to have, unless an
    /// invalidation of the key is pending.
    async fn read(
        &self,
        key: &Key,
        variants: Vec<Box<str>>,
        wants_purges: bool,
    ) -> Result<Read, LookupError> {
        let hidden = || self.invalidations.hidden(key);
        let before = hidden();
        if before == Some(Hidden::UntilTaken) {
            return Err(LookupError::InvalidationPending);
        }
        let lookup = Lookup {
            key: key.clone(),
            variants,
        };
        let tags = self.tags.tags(key);
        let stamps = self.read_stamps(&tags);
        let purges = wants_purges.then(|| self.read_purges());
        let (stored, (stamps, purges)) = self.store.execute((lookup, (stamps, purges))).await;
        let stored = match stored {
            // The key holds something else, which a fill replaces.
            Err(StoreError::Refused {
                kind: RefusalKind::WrongType,
                ..
            }) => StoredVariants::default(),
            stored => stored?,
        };
        let mut read = Read {
            stored,
            stamps: tags::current(&tags, stamps)?,
            // Unknown, it differs from what stood there before.
            purges: purges.and_then(Result::ok).flatten(),
        };
        // Checked again after the reply: it may have become out of date meanwhile, or come from
        // another server. And an invalidation that was on its way before the lookup may have been
        // overtaken by it on another connection.
        match hidden().or(before) {
            None => Ok(read),
            Some(Hidden::ForNow) => {
                read.stored = StoredVariants {
                    generation: read.stored.generation,
                    ..StoredVariants::default()
                };
                Ok(read)
            }
            Some(Hidden::UntilTaken) => Err(LookupError::InvalidationPending),
        }
    }

    /// The first of the variants that may be used. Those that cannot be read or were purged are
    /// removed from the store, so that they do not keep the next response out.
    async fn usable(
        &self,
        key: &Key,
        variants: &[Box<str>],
        stored: &StoredVariants,
        stamps: tags::Current,
    ) -> Result<Usable, LookupError> {
        let mut useless = Vec::new();
        let mut usable = Usable::None;
        for (variant, stored) in variants.iter().zip(&stored.variants) {
            let Some(stored) = stored else { continue };
            match self.decoded.found(stored, encoding::decode) {
                Some(found) if self.invalidations.is_over(&found.head) => continue,
                Some(found) => match self.current(key, found, stamps.clone()).await? {
                    Some(found) => return Ok(Usable::Found(found)),
                    None => usable = Usable::Purged,
                },
                None => {}
            }
            useless.push(variant.clone());
        }
        if !useless.is_empty() {
            let discard = Discard {
                key: key.clone(),
                variants: useless,
            };
            if let Err(error) = self.store.execute(discard).await {
                tracing::debug!(target: "tower_keep::cache", %error, "a response that cannot be used was not discarded");
            }
        }
        Ok(usable)
    }
}
