//! A store that is connected before a test begins.

use std::time::Duration;

use tower_keep::{Store, StoreConfig};

use super::eventually;

/// For tests in which Redis is well: the machine may be busy with other tests.
pub(crate) const PATIENT: Duration = Duration::from_secs(5);

/// A store on the Redis at `url`, to which it is connected, with this deadline for its calls.
pub(crate) async fn connected(url: &str, deadline: Duration) -> Store {
    let config = StoreConfig::from_url(url).unwrap();
    let store = config.with_deadline(deadline).build().unwrap();
    answers(&store).await;
    store
}

/// Waits for the first answer: on a busy machine a connection takes longer than an attempt may.
pub(crate) async fn answers(store: &Store) {
    eventually("the store is connected", async || {
        store.ping().await.is_ok()
    })
    .await;
}
