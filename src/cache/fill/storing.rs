//! Storing a response: announced before the inner service is called, stored or taken back after.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{runtime::Handle, time::Instant};

use super::arriving::{Announced, Fill};
use crate::{
    cache::{
        clock::now,
        lookup::{Found, StoredResponses, encoding::encode, variant},
        options::Options,
        policy::StoredHead,
    },
    store::{
        Key,
        operations::response::{Abandon, Begin, Generation, Put, Replaces, Stamp, Version},
    },
};

/// A response that is to be stored, unless its key is invalidated after it was announced. When it
/// is dropped, as by a request that is cancelled or a service that panics, it takes its
/// announcement back.
pub(crate) struct Storing {
    responses: Arc<StoredResponses>,
    options: Arc<Options>,
    key: Key,
    /// `None` before it is announced, when the store could not be told, and after it is stored.
    generation: Option<Generation>,
    /// The stamp of all purges when it was announced. Only a response without tags is stored
    /// without it.
    purges: Option<Stamp>,
    /// Whether that stamp was made for this response.
    made_purges: bool,
    /// The version that the response will have in the store. It is made at the beginning, so that
    /// a request that uses the response before the store has it can name it.
    version: Version,
    /// When it began, in Unix milliseconds.
    begun: u64,
    /// When the announcement lapses. What is not stored by then is not stored at all.
    lapses: Instant,
    /// The stored response that the inner service is asked about.
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    version: Version,
    length: u64,
    is_fresh: bool,
}

impl Storing {
    /// Not announced yet: as long as it is not, nothing is stored.
    pub(crate) fn new(
        responses: Arc<StoredResponses>,
        options: Arc<Options>,
        primary: &Key,
    ) -> Self {
        Self {
            lapses: Instant::now() + options.fill_lease,
            responses,
            options,
            key: primary.clone(),
            generation: None,
            purges: None,
            made_purges: false,
            version: Version::random(),
            begun: now(),
            seen: None,
        }
    }

    /// Tells the store that a response is on its way. Await it before the inner service is called:
    /// then what that reads is never older than the announcement, and an invalidation that comes
    /// later ends it.
    pub(crate) async fn announce(&mut self, fill: &Fill) {
        let begin = Begin {
            key: self.key.clone(),
            generation: Generation::random(),
            lease: self.options.fill_lease,
        };
        let new = Stamp::random();
        let begin = (begin, self.responses.ensure_purges(new));
        let (begun, purges) = self.responses.store.execute(begin).await;
        self.purges = purges.ok().flatten();
        self.made_purges = self.purges == Some(new);
        self.generation = begun
            .inspect_err(|error| {
                tracing::debug!(target: "tower_keep::cache", %error, "a fill was not announced");
            })
            .ok();
        if let Some(generation) = &self.generation {
            let announced = Announced {
                generation: Some(generation.clone()),
                purges: self.purges,
            };
            fill.begun(announced, self.version);
        }
    }

    /// Notes the stored response that the inner service is asked about.
    pub(crate) fn saw(&mut self, found: &Found) {
        self.seen = found.version.map(|version| Seen {
            version,
            length: found.body.len() as u64,
            is_fresh: found.head.ttl(now()) > 0,
        });
    }

    /// Whether the store can take the response.
    pub(crate) fn is_announced(&self) -> bool {
        self.generation.is_some()
    }

    /// Forgets the announcement without taking it back: an invalidation takes it along.
    pub(crate) fn forget(mut self) {
        self.generation = None;
    }

    /// Remembers what the response varies by, so that the next lookup of this process guesses right.
    pub(crate) fn learn_vary(&self, head: &StoredHead) {
        self.responses.learn_vary(&self.key, head);
    }

    /// Stores a response, unless a newer one is stored. The stored response that the inner service
    /// was asked about is replaced even with a later date if it is stale: otherwise an origin
    /// whose clock was set back could store nothing.
    pub(crate) async fn store(self, head: &StoredHead, body: Bytes) {
        let stale = self.seen.filter(|seen| !seen.is_fresh);
        let seen = stale.map(|seen| seen.version);
        let length = body.len() as u64;
        self.put(head, length, Some(body), Replaces::NotNewer { seen })
            .await;
    }

    /// Stores what the found response was completed to, in place of that one only.
    pub(crate) async fn complete(self, head: &StoredHead, body: Bytes) {
        if let Some(seen) = self.seen {
            let length = body.len() as u64;
            let replaces = Replaces::Only(seen.version);
            self.put(head, length, Some(body), replaces).await;
        }
    }

    /// Stores a new head for the found response, and only for that one.
    pub(crate) async fn freshen(self, head: &StoredHead) {
        if let Some(seen) = self.seen {
            let replaces = Replaces::Only(seen.version);
            self.put(head, seen.length, None, replaces).await;
        }
    }

    async fn put(
        mut self,
        head: &StoredHead,
        length: u64,
        body: Option<Bytes>,
        replaces: Replaces,
    ) {
        let ttl = self.options.policy.retention(head, now());
        let lapsed = Instant::now() >= self.lapses;
        if ttl.is_zero() || lapsed || !head.declares(length) {
            tracing::debug!(target: "tower_keep::cache", lapsed, "not stored");
            return;
        }
        // The tags outlive what is stored under them.
        let tags_ttl = ttl.saturating_add(self.options.fill_lease);
        let tags = head.tags();
        let stamps = self.responses.stamps(&tags, self.purges, tags_ttl);
        let Some(stamps) = stamps.await else {
            tracing::debug!(target: "tower_keep::cache", "not stored: its tags were purged meanwhile");
            return;
        };
        if self.responses.is_out_of_date(&self.key, self.begun) {
            tracing::debug!(target: "tower_keep::cache", "not stored: it is out of date");
            return;
        }
        let Some(encoded) = encode(head, length, &stamps) else {
            return;
        };
        let Some(generation) = self.generation.take() else {
            return;
        };
        let put = Put {
            key: self.key.clone(),
            generation,
            variant: variant::name(head),
            version: self.version,
            replaces,
            recency: head.recency(),
            vary: head.vary().to_list(),
            head: encoded,
            body,
            ttl,
            most_variants: self.options.max_variants,
        };
        match self.responses.store.execute(put).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(target: "tower_keep::cache", "not stored: invalidated or replaced meanwhile");
            }
            Err(error) => {
                tracing::debug!(target: "tower_keep::cache", %error, "not stored");
            }
        }
    }
}

impl Drop for Storing {
    /// Takes the announcement back in a task of its own. Without a runtime it lapses by itself.
    fn drop(&mut self) {
        let (Some(generation), Ok(runtime)) = (self.generation.take(), Handle::try_current())
        else {
            return;
        };
        let abandon = Abandon {
            key: self.key.clone(),
            generation,
        };
        // What is not stored leaves nothing behind, and mostly there is a stamp already.
        let made = self.purges.filter(|_| self.made_purges);
        let purges = made.map(|made| self.responses.withdraw_purges(made));
        let abandon = self.responses.store.execute((abandon, purges));
        runtime.spawn(async move {
            if let (Err(error), _) = abandon.await {
                tracing::debug!(target: "tower_keep::cache", %error, "an announcement was not taken back");
            }
        });
    }
}
