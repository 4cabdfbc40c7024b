//! A load's right to store what it finds.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::{
    Store,
    store::operations::value::{Fill, ReleaseLease, RenewLease, TakeLease, Token, ValueKeys},
};

/// How long other processes wait for one that has died.
const DURATION: Duration = Duration::from_secs(5);

/// How often a lease is renewed in that time: two renewals may fail.
const RENEWALS: u32 = 3;

/// A lease that is released when it is dropped: by a load that fails, panics, takes too long or
/// ends with its runtime. It expires by itself when nobody renews it.
pub(super) struct Lease {
    store: Store,
    keys: ValueKeys,
    token: Token,
    /// How long it stands unless it is renewed.
    duration: Duration,
    /// Nothing of it is in the store.
    settled: bool,
}

impl Lease {
    /// One that is still to be taken, by a load of at most `limit`.
    pub(super) fn new(store: &Store, keys: &ValueKeys, limit: Duration) -> Self {
        Self {
            store: store.clone(),
            keys: keys.clone(),
            token: Token::random(),
            duration: DURATION.min(limit).max(Duration::from_millis(1)),
            settled: false,
        }
    }

    /// Takes it, if there is no value but the one to `replace`. After an error the store may have
    /// it or not.
    pub(super) fn take(&self, replace: Option<Bytes>) -> TakeLease {
        TakeLease {
            keys: self.keys.clone(),
            token: self.token.clone(),
            duration: self.duration,
            replace,
        }
    }

    /// Renews it for as long as this is polled. A load that has lost its lease goes on for those
    /// who wait for it.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.duration / RENEWALS).await;
            let renew = RenewLease {
                lease: self.keys.lease.clone(),
                token: self.token.clone(),
                duration: self.duration,
            };
            if let Ok(false) = self.store.execute(renew).await {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stores the value, if nothing has changed since the lease was taken.
    pub(super) fn fill(&self, value: Bytes, ttl: Duration) -> Fill {
        Fill {
            keys: self.keys.clone(),
            token: self.token.clone(),
            value,
            ttl,
        }
    }

    /// It was not taken, or the store has ended it.
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
        let release = self.store.execute(ReleaseLease {
            lease: self.keys.lease.clone(),
            token: self.token.clone(),
        });
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(release);
        }
    }
}
