//! How often keys are asked for: what decides who stays when memory is full.

use cmsketch::CMSketchU8;

/// An estimate of how often each key was asked for lately, in bounded memory: a count-min
/// sketch whose counts are halved as time goes by. An estimate is never below the truth.
#[derive(Debug)]
pub(super) struct Sketch {
    width: usize,
    /// Made by the first count: a table that is not used takes no memory.
    counts: Option<CMSketchU8>,
    /// Counted since they were halved last.
    additions: usize,
}

/// Rows of counters; an estimate is wrong only where a key shares its counter in all of them.
const ROWS: usize = 4;
const LEAST_WIDTH: usize = 64;

impl Sketch {
    /// A sketch of about `bytes`.
    pub(super) fn within(bytes: usize) -> Self {
        Self {
            width: (bytes / ROWS).max(LEAST_WIDTH),
            counts: None,
            additions: 0,
        }
    }

    /// What it takes once it is used.
    pub(super) fn bytes(&self) -> usize {
        self.width * ROWS
    }

    pub(super) fn count(&mut self, hash: u64) {
        // The crate's measures for this width and these rows.
        let new = || CMSketchU8::new(2.0 / self.width as f64, 0.9);
        let counts = self.counts.get_or_insert_with(new);
        counts.inc(hash);
        self.additions += 1;
        // So few a period that a key which was seen once meets only a counter in two taken.
        if self.additions > self.width / 2 {
            self.additions = 0;
            counts.halve();
        }
    }

    pub(super) fn estimate(&self, hash: u64) -> u8 {
        let counts = self.counts.as_ref();
        counts.map_or(0, |counts| counts.estimate(hash))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn a_sketch_takes_no_memory_until_it_counts_and_then_what_it_says() {
        for bytes in [0, 1000, 16 << 10, 256 << 10] {
            let mut sketch = Sketch::within(bytes);
            assert!(sketch.estimate(1) == 0 && sketch.counts.is_none());
            sketch.count(1);
            assert_eq!(sketch.estimate(1), 1);
            let counts = sketch.counts.as_ref().unwrap();
            let taken = counts.width() * counts.depth();
            assert!(taken.abs_diff(sketch.bytes()) <= ROWS, "{bytes}: {taken}");
        }
    }

    #[test]
    fn a_frequent_key_is_told_from_those_seen_once_and_is_forgotten_when_it_is_no_longer_asked_for()
    {
        let hasher = RandomState::new();
        let mut sketch = Sketch::within(16 << 10);
        let hot = hasher.hash_one("hot");
        let mut frequent = 0;
        for n in 0..100_000_u64 {
            let once = hasher.hash_one(n);
            sketch.count(once);
            frequent += u64::from(sketch.estimate(once) > 2);
            if n % 100 == 0 {
                sketch.count(hot);
            }
        }
        assert!(sketch.estimate(hot) > 2);
        assert!(frequent < 200, "{frequent}");
        for n in 100_000..200_000_u64 {
            sketch.count(hasher.hash_one(n));
        }
        assert!(sketch.estimate(hot) <= 2, "{}", sketch.estimate(hot));
    }
}
