//! Storing a response: announced before the inner service is called, settled after.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    fill::Fill,
    lookup::encode,
    policy::StoredHead,
    serve::now,
    state::{Client, State},
};
use crate::store::{
    Key, StoreError,
    operations::response::{Abandon, Begin, Generation, Invalidate, Put},
};

/// A fill that is being announced while the inner service works. Dropped, it is taken back.
pub(super) struct Storing {
    state: Arc<State>,
    key: Key,
    begun: JoinHandle<Result<Ready, StoreError>>,
}

/// A fill that is announced, and stored only while nothing invalidated its key. Dropped, as by a
/// request that is cancelled or a service that panics, it is taken back.
pub(super) struct Ready {
    state: Arc<State>,
    key: Key,
    /// Taken by [`put`](Self::put).
    generation: Option<Generation>,
}

impl Storing {
    pub(super) fn begin(state: &Arc<State>, client: &Client, fill: &Arc<Fill>) -> Self {
        let key = state.store_key(&client.primary);
        let begin = state.store.execute(Begin {
            key: key.clone(),
            generation: Generation::random(),
            lease: state.options.fill_lease,
        });
        let mut ready = Ready {
            state: state.clone(),
            key: key.clone(),
            generation: None,
        };
        let fill = fill.clone();
        let begun = tokio::spawn(async move {
            let generation = begin.await?;
            fill.begun(generation.clone());
            ready.generation = Some(generation);
            Ok(ready)
        });
        Self {
            state: state.clone(),
            key,
            begun,
        }
    }

    /// Waits for the announcement, which is there as a rule when the response is.
    pub(super) async fn ready(self) -> Result<Ready, StoreError> {
        self.begun.await.unwrap_or(Err(StoreError::Unavailable))
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

impl Drop for Ready {
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
