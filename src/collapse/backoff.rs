//! How often to look whether another process is done.

use std::time::Duration;

use crate::store::random::fraction;

/// Pauses that grow from one to the next, and differ between processes that began to wait at the
/// same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    longest: Duration,
}

/// The first pause.
const FIRST: Duration = Duration::from_millis(5);
/// The longest.
const LAST: Duration = Duration::from_millis(100);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { longest: FIRST }
    }

    /// The next pause: half of what it may be, and a random part of the other half.
    pub(crate) fn next(&mut self) -> Duration {
        let half = self.longest / 2;
        self.longest = LAST.min(self.longest * 3 / 2);
        half + half.mul_f64(fraction())
    }

    /// Waits until it is time to look again, or until somebody says that there is something to
    /// see. A store that is told of changes would wake it here; none is so far.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_tenth_of_a_second_and_differ() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..50).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[20..].iter().all(|pause| *pause >= LAST / 2));
        assert!(pauses.iter().all(|pause| *pause <= LAST));
        assert!(pauses[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }
}
