//! A load's right to store what it finds.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::super::service::at_least_a_millisecond;
use crate::{
    Store, StoreError,
    store::operations::value::{Fill, ReleaseLease, TakeLease, Taken, Token, ValueKeys},
};

/// A lease that is released when it is dropped: by a load that fails, panics, takes too long or
/// ends with its runtime. If the store cannot be reached then, it expires.
pub(super) struct Lease {
    store: Store,
    keys: ValueKeys,
    token: Token,
    /// The store has confirmed that the lease is gone.
    settled: bool,
}

impl Lease {
    /// One that is still to be announced.
    pub(super) fn new(store: &Store, keys: &ValueKeys) -> Self {
        Self {
            store: store.clone(),
            keys: keys.clone(),
            token: Token::random(),
            settled: false,
        }
    }

    /// Announces a load that takes at most `limit`. After an error the store may have it or not.
    pub(super) async fn announce(
        &self,
        limit: Duration,
        replace: bool,
    ) -> Result<Taken, StoreError> {
        let announce = TakeLease {
            keys: self.keys.clone(),
            token: self.token.clone(),
            limit,
            replace,
        };
        self.store.execute(announce).await
    }

    /// Stores the value, if nothing has changed since the announcement; whether it was stored.
    pub(super) async fn fill(mut self, value: Bytes, ttl: Duration) -> Result<bool, StoreError> {
        let fill = Fill {
            keys: self.keys.clone(),
            token: self.token.clone(),
            value,
            ttl: at_least_a_millisecond(ttl),
        };
        let stored = self.store.execute(fill).await?;
        self.settled = true;
        Ok(stored)
    }

    /// It was not announced, because there is a value.
    pub(super) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // Embedded memory has done it when `execute` returns; Redis is told by a task of its
        // own, so that nobody waits for that.
        let abandon = self.store.execute(ReleaseLease {
            lease: self.keys.lease.clone(),
            token: self.token.clone(),
        });
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(abandon);
        }
    }
}
