//! Storing a response: announced before the inner service is called, settled after.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{runtime::Handle, time::Instant};

use super::{
    fill::Fill,
    invalidations::Hidden,
    lookup::{Found, encode},
    policy::StoredHead,
    state::{Client, State, now},
};
use crate::store::{
    Key,
    operations::response::{Abandon, Begin, Generation, Put, Replaces, Version},
};

/// A fill that is announced, and stored only while nothing invalidated its key since. Dropped, as
/// by a request that is cancelled or a service that panics, the announcement is taken back.
pub(super) struct Storing {
    state: Arc<State>,
    key: Key,
    /// `None` when the store could not be told, and once it is settled.
    generation: Option<Generation>,
    /// What the store will know the response by. Made now, so that whoever finds the response before
    /// the store has it can say which one it found.
    version: Version,
    /// When it began, in Unix milliseconds.
    begun: u64,
    /// When the announcement lapses: what is not stored by then is not stored at all.
    pub(super) lapses: Instant,
    /// The stored response that was found, when the inner service was asked because of it.
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    version: Version,
    length: u64,
    is_fresh: bool,
}

impl Storing {
    fn new(state: &Arc<State>, client: &Client) -> Self {
        Self {
            state: state.clone(),
            key: client.primary.clone(),
            generation: None,
            version: Version::random(),
            begun: now(),
            lapses: Instant::now() + state.options.fill_lease,
            seen: None,
        }
    }

    /// Announces a fill. To be awaited before the inner service is called: what that reads is then
    /// never older than the announcement, so that an invalidation always finds one or the other.
    pub(super) async fn begin(state: &Arc<State>, client: &Client, fill: &Fill) -> Self {
        let mut storing = Self::new(state, client);
        let begun = state.store.execute(Begin {
            key: storing.key.clone(),
            generation: Generation::random(),
            lease: state.options.fill_lease,
        });
        storing.generation = begun
            .await
            .inspect_err(|error| {
                tracing::debug!(target: "tower_keep::cache", %error, "a fill was not announced");
            })
            .ok();
        if let Some(generation) = &storing.generation {
            fill.begun(generation.clone(), storing.version);
        }
        storing
    }

    /// For a response that is not to be stored whatever it says.
    pub(super) fn nothing(state: &Arc<State>, client: &Client) -> Self {
        Self::new(state, client)
    }

    /// Notes the stored response because of which the inner service is asked.
    pub(super) fn saw(&mut self, found: &Found) {
        self.seen = found.version.map(|version| Seen {
            version,
            length: found.body.len() as u64,
            is_fresh: found.head.ttl(now()) > 0,
        });
    }

    /// Whether the store can take the response.
    pub(super) fn is_announced(&self) -> bool {
        self.generation.is_some()
    }

    /// What is stored is no longer good.
    pub(super) async fn invalidate(mut self) {
        self.generation = None;
        self.state.invalidate([self.key.clone()]).await;
    }

    /// Remembers what the response varies by: the next lookup of this process guesses right.
    pub(super) fn learn_vary(&self, head: &StoredHead) {
        self.state.vary.learn(&self.key, &head.vary().to_list());
    }

    /// Stores a response in place of one that is not newer. What is no longer fresh is not in
    /// the way, whatever its date: else an origin whose clock was set back would store nothing.
    pub(super) async fn store(self, head: &StoredHead, body: Bytes) {
        let stale = self.seen.filter(|seen| !seen.is_fresh);
        let seen = stale.map(|seen| seen.version);
        let length = body.len() as u64;
        self.put(head, length, Some(body), Replaces::NotNewer { seen })
            .await;
    }

    /// Stores what the found response, and no other, was completed to.
    pub(super) async fn complete(self, head: &StoredHead, body: Bytes) {
        if let Some(seen) = self.seen {
            let length = body.len() as u64;
            let replaces = Replaces::Only(seen.version);
            self.put(head, length, Some(body), replaces).await;
        }
    }

    /// Stores a new head for the found response, and for no other.
    pub(super) async fn freshen(self, head: &StoredHead) {
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
        let ttl = self.state.options.policy.retention(head, now());
        let lapsed = Instant::now() >= self.lapses;
        if ttl.is_zero() || lapsed || !head.declares(length) || self.is_out_of_date() {
            tracing::debug!(target: "tower_keep::cache", lapsed, "not stored");
            return;
        }
        let Some(encoded) = encode(head, length) else {
            return;
        };
        let Some(generation) = self.generation.take() else {
            return;
        };
        let put = Put {
            key: self.key.clone(),
            generation,
            variant: State::variant_of(head),
            version: self.version,
            replaces,
            recency: head.recency(),
            vary: head.vary().to_list(),
            head: encoded,
            body,
            ttl,
            most_variants: self.state.options.max_variants,
        };
        match self.state.store.execute(put).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(target: "tower_keep::cache", "not stored: invalidated or replaced meanwhile");
            }
            Err(error) => {
                tracing::debug!(target: "tower_keep::cache", %error, "not stored");
            }
        }
    }

    /// Whether it was invalidated since it began, as far as this process knows better than the store.
    fn is_out_of_date(&self) -> bool {
        let invalidations = &self.state.invalidations;
        invalidations.hidden(&self.key) == Some(Hidden::UntilTaken)
            || self.begun <= invalidations.watermark()
    }
}

impl Drop for Storing {
    /// Off the response's path. Without a runtime the announcement lapses by itself.
    fn drop(&mut self) {
        let (Some(generation), Ok(runtime)) = (self.generation.take(), Handle::try_current())
        else {
            return;
        };
        let abandon = self.state.store.execute(Abandon {
            key: self.key.clone(),
            generation,
        });
        runtime.spawn(async move {
            if let Err(error) = abandon.await {
                tracing::debug!(target: "tower_keep::cache", %error, "a fill was not taken back");
            }
        });
    }
}
