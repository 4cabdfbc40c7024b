//! Storing a response: announced before the inner service is called, settled after.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    lookup::encode,
    policy::StoredHead,
    serve::now,
    state::{Client, State},
};
use crate::store::{
    Key, StoreError,
    operations::response::{Abandon, Begin, Generation, Invalidate, Put},
};

/// A fill that is being announced while the inner service works.
pub(super) struct Storing {
    state: Arc<State>,
    key: Key,
    begun: tokio::task::JoinHandle<Result<Generation, StoreError>>,
}

/// A fill that is announced, and stored only while nothing invalidated its key.
pub(super) struct Ready {
    state: Arc<State>,
    key: Key,
    generation: Generation,
}

impl Storing {
    pub(super) fn begin(state: &Arc<State>, client: &Client) -> Self {
        let key = state.store_key(&client.primary);
        let begin = state.store.execute(Begin {
            key: key.clone(),
            generation: Generation::random(),
            lease: state.options.fill_lease,
        });
        Self {
            state: state.clone(),
            key,
            begun: tokio::spawn(begin),
        }
    }

    /// Waits for the announcement, which is there as a rule when the response is.
    pub(super) async fn ready(self) -> Result<Ready, StoreError> {
        let Self { state, key, begun } = self;
        match begun.await {
            Ok(generation) => Ok(Ready {
                state,
                key,
                generation: generation?,
            }),
            Err(_) => Err(StoreError::Unavailable),
        }
    }

    /// Nothing is stored: takes the announcement back, off the response's path.
    pub(super) fn abandon(self) {
        tokio::spawn(async move {
            if let Ok(ready) = self.ready().await {
                ready.abandon().await;
            }
        });
    }

    /// Stores a response, or a new head for the stored body.
    pub(super) async fn put(self, head: &StoredHead, body: Option<Bytes>) {
        if let Ok(ready) = self.ready().await {
            ready.put(head, body).await;
        }
    }

    /// What is stored is no longer good.
    pub(super) async fn invalidate(self) {
        if let Err(error) = self.state.store.execute(Invalidate(self.key)).await {
            tracing::warn!(target: "tower_keep::cache", %error, "a stored response could not be invalidated");
        }
    }
}

impl Ready {
    /// Remembers what the response varies by: the next lookup of this process guesses right.
    pub(super) fn learn_vary(&self, head: &StoredHead) {
        self.state.vary.learn(&self.key, &head.vary().to_list());
    }

    pub(super) async fn put(self, head: &StoredHead, body: Option<Bytes>) {
        let ttl = self.state.options.policy.retention(head, now());
        let Some(encoded) = encode(head).filter(|_| !ttl.is_zero()) else {
            return self.abandon().await;
        };
        let put = Put {
            key: self.key,
            generation: self.generation,
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

    pub(super) async fn abandon(self) {
        let abandon = Abandon {
            key: self.key,
            generation: self.generation,
        };
        if let Err(error) = self.state.store.execute(abandon).await {
            tracing::debug!(target: "tower_keep::cache", %error, "a fill was not taken back");
        }
    }
}
