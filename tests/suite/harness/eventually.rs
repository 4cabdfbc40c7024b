//! Waiting for what another process does in its own time.

use std::time::{Duration, Instant};

/// How long that may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to look.
const POLL: Duration = Duration::from_millis(10);

/// Asks until the answer is yes.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}
