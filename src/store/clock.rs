//! The wall clock of the process, in integer microseconds.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Microseconds from the monotonic clock's reading to the system clock's.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// By how many microseconds the two have to drift apart to call it a step.
const STEP: u64 = 100_000;

/// When they were compared last, in microseconds of the monotonic clock.
static COMPARED: AtomicI64 = AtomicI64::new(i64::MIN);

/// After how many microseconds they are compared again: it takes two more readings, which a
/// request that reads the time five times would notice.
const COMPARE_EVERY: u64 = 5_000;

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
    ///
    /// Between two steps of the system's clock it runs with the monotonic one, so that it does
    /// not go back by the moment that passes between reading one and the other. A step is
    /// followed within milliseconds.
    pub(crate) fn now() -> Self {
        let driven = tokio::time::Instant::now().into_std();
        let monotonic = since_base(driven);
        if monotonic.abs_diff(COMPARED.load(Ordering::Acquire)) >= COMPARE_EVERY {
            let kept = OFFSET.load(Ordering::Relaxed);
            if kept.abs_diff(measured_offset()) > STEP {
                follow(kept);
            }
            // Last: whoever finds it done uses the offset that came of it.
            COMPARED.store(monotonic, Ordering::Release);
        }
        let now = monotonic + OFFSET.load(Ordering::Relaxed);
        Self(now.try_into().unwrap_or(0))
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

fn measured_offset() -> i64 {
    let real = since_base(Instant::now());
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    micros(wall.unwrap_or_default()) as i64 - real
}

/// Follows a step of the system's clock, if it was one and not a pause between two readings.
#[cold]
fn follow(kept: i64) {
    let offset = loop {
        let started = Instant::now();
        let offset = measured_offset();
        if started.elapsed() < Duration::from_millis(1) {
            break offset;
        }
    };
    if kept.abs_diff(offset) > STEP {
        // Whoever is first; the others' would differ by next to nothing.
        let _ = OFFSET.compare_exchange(kept, offset, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Microseconds, rounded down, from an arbitrary moment in the life of the process.
fn since_base(instant: Instant) -> i64 {
    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    match instant.checked_duration_since(*BASE) {
        Some(after) => micros(after) as i64,
        None => -(BASE.duration_since(instant).as_nanos().div_ceil(1_000) as i64),
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
        assert_eq!(passed, Duration::from_secs(90));
    }

    #[tokio::test]
    async fn is_the_systems_clock_and_never_goes_back() {
        let mut last = Timestamp::default();
        for _ in 0..10_000 {
            let now = Timestamp::now();
            assert!(now >= last);
            last = now;
        }
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let apart = Duration::from_micros(last.as_micros()).abs_diff(wall);
        assert!(apart < Duration::from_millis(500), "{apart:?}");
    }
}
