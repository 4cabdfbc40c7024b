//! A store that is connected before a test begins.

use std::time::Duration;

use tower_keep::{Store, StoreConfig};

/// For tests in which Redis is well: the machine may be busy with other tests.
pub(crate) const PATIENT: Duration = Duration::from_secs(5);

/// A store on the Redis at `url`, to which it is connected, with this deadline for its calls.
pub(crate) async fn connected(url: &str, deadline: Duration) -> Store {
    let config = StoreConfig::from_url(url).unwrap();
    let store = config.with_deadline(deadline).build().unwrap();
    store.ping().await.unwrap();
    store
}
