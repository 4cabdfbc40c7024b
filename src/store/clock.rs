//! The wall clock of the process, in integer microseconds.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time: microseconds since the Unix epoch.
///
/// Exact in Lua's doubles until the year 2255 (2^53 µs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The system's clock, moved by what tokio's clock was moved: under `tokio::time::pause`
    /// it stands still and `tokio::time::advance` drives it; otherwise the difference is nil.
    pub(crate) fn now() -> Self {
        let driven = tokio::time::Instant::now().into_std();
        let real = Instant::now();
        let now = match driven.checked_duration_since(real) {
            Some(ahead) => SystemTime::now() + ahead,
            None => SystemTime::now() - real.duration_since(driven),
        };
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(micros(since_epoch))
    }

    pub(crate) const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    pub(crate) const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    pub(crate) const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub(crate) const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in whole microseconds, saturating.
pub(crate) const fn micros(duration: Duration) -> u64 {
    let micros = duration.as_micros();
    if micros > u64::MAX as u128 {
        u64::MAX
    } else {
        micros as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stands_still_while_tokios_clock_is_paused_and_follows_its_advance() {
        let start = Timestamp::now();
        tokio::time::advance(Duration::from_secs(90)).await;
        let passed = Timestamp::now().saturating_since(start);
        // The two clocks are read one after the other, so a few microseconds differ.
        assert!(
            passed.abs_diff(Duration::from_secs(90)) < Duration::from_millis(50),
            "{passed:?}"
        );
    }
}
