//! Storing a response: announced before the inner service is called, settled after.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    fill::Fill,
    lookup::encode,
    policy::StoredHead,
    state::{Client, State, now},
};
use crate::store::{
    Key,
    operations::response::{Abandon, Begin, Generation, Invalidate, Put},
};

/// A fill that is announced, and stored only while nothing invalidated its key since. Dropped, as
/// by a request that is cancelled or a service that panics, the announcement is taken back.
pub(super) struct Storing {
    state: Arc<State>,
    key: Key,
    /// `None` when the store could not be told, and once it is settled.
    generation: Option<Generation>,
}

impl Storing {
    /// Announces a fill. To be awaited before the inner service is called: what that reads is then
    /// never older than the announcement, so that an invalidation always finds one or the other.
    pub(super) async fn begin(state: &Arc<State>, client: &Client, fill: &Fill) -> Self {
        let key = client.primary.clone();
        let begun = state.store.execute(Begin {
            key: key.clone(),
            generation: Generation::random(),
            lease: state.options.fill_lease,
        });
        let generation = begun
            .await
            .inspect_err(|error| {
                tracing::debug!(target: "tower_keep::cache", %error, "a fill was not announced");
            })
            .ok();
        if let Some(generation) = &generation {
            fill.begun(generation.clone());
        }
        Self {
            state: state.clone(),
            key,
            generation,
        }
    }

    /// For a response that is not to be stored whatever it says.
    pub(super) fn nothing(state: &Arc<State>, client: &Client) -> Self {
        Self {
            state: state.clone(),
            key: client.primary.clone(),
            generation: None,
        }
    }

    /// Whether the store can take the response.
    pub(super) fn is_announced(&self) -> bool {
        self.generation.is_some()
    }

    /// What is stored is no longer good.
    pub(super) async fn invalidate(mut self) {
        self.generation = None;
        let invalidate = Invalidate(self.key.clone());
        if let Err(error) = self.state.store.execute(invalidate).await {
            tracing::warn!(target: "tower_keep::cache", %error, "a stored response could not be invalidated");
        }
    }

    /// Remembers what the response varies by: the next lookup of this process guesses right.
    pub(super) fn learn_vary(&self, head: &StoredHead) {
        self.state.vary.learn(&self.key, &head.vary().to_list());
    }

    /// Stores a response; without a body a new head for the stored one.
    pub(super) async fn put(mut self, head: &StoredHead, body: Option<Bytes>) {
        let ttl = self.state.options.policy.retention(head, now());
        let Some(encoded) = encode(head).filter(|_| !ttl.is_zero()) else {
            return;
        };
        let Some(generation) = self.generation.take() else {
            return;
        };
        let put = Put {
            key: self.key.clone(),
            generation,
            variant: State::variant_of(head),
            vary: head.vary().to_list(),
            head: encoded,
            body,
            ttl,
            most_variants: self.state.options.max_variants,
        };
        match self.state.store.execute(put).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(target: "tower_keep::cache", "not stored: invalidated meanwhile");
            }
            Err(error) => {
                tracing::debug!(target: "tower_keep::cache", %error, "not stored");
            }
        }
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
