//! Log lines that a failing server would otherwise write for every request.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one line through in ten seconds, and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    last: Option<Instant>,
    withheld: u64,
}

const EVERY: Duration = Duration::from_secs(10);

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Lines {
            last: None,
            withheld: 0,
        }))
    }

    /// How many lines were withheld since the last one, if this one may be written.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        // Nothing panics while it is held.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |last: Instant| now.saturating_duration_since(last) < EVERY;
        if lines.last.is_some_and(recent) {
            lines.withheld += 1;
            return None;
        }
        lines.last = Some(now);
        Some(std::mem::take(&mut lines.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_says_how_many_were_withheld() {
        let throttle = Throttle::new();
        let start = Instant::now();
        assert_eq!(throttle.pass_at(start), Some(0));
        assert_eq!(throttle.pass_at(start + EVERY / 2), None);
        assert_eq!(throttle.pass_at(start + EVERY / 3), None);
        assert_eq!(throttle.pass_at(start + EVERY), Some(2));
        assert_eq!(throttle.pass_at(start + 3 * EVERY), Some(0));
    }
}
