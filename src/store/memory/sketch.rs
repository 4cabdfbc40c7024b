//! How often keys are asked for: what decides who stays when memory is full.

/// An estimate of how often each key was asked for lately, in bounded memory: a count-min
/// sketch whose counts are halved as time goes by. An estimate is never below the truth.
///
/// It is counted under the lock of its shard, so the counters are plain bytes: with atomic ones
/// halving them would hold up the shard for a hundred times as long. Their memory is taken with
/// the first count, so that a table without entries takes none.
#[derive(Debug)]
pub(super) struct Sketch {
    /// The rows, one after another; none before the first count.
    counts: Box<[u8]>,
    /// The width of a row is two to this power.
    bits: u32,
    /// Counted since they were halved last.
    additions: usize,
}

/// Rows of counters; an estimate is wrong only where a key shares its counter in all of them.
const ROWS: usize = 4;
const LEAST_WIDTH: usize = 64;
/// Odd numbers that mix a hash anew for each row.
const MIX: [u64; ROWS] = [
    0x9e37_79b9_7f4a_7c15,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0xff51_afd7_ed55_8ccd,
];

impl Sketch {
    /// A sketch of at most `bytes` once it counts, if that is not too few to be of use.
    pub(super) fn within(bytes: usize) -> Self {
        let bits = (bytes / ROWS).max(LEAST_WIDTH).ilog2();
        Self {
            counts: Box::default(),
            bits,
            additions: 0,
        }
    }

    /// What it takes then.
    pub(super) fn bytes(&self) -> usize {
        ROWS * self.width()
    }

    fn width(&self) -> usize {
        1 << self.bits
    }

    /// The key's counter in each row.
    fn places(&self, hash: u64) -> [usize; ROWS] {
        std::array::from_fn(|row| {
            let column = hash.wrapping_mul(MIX[row]) >> (u64::BITS - self.bits);
            row * self.width() + column as usize
        })
    }

    pub(super) fn count(&mut self, hash: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; self.bytes()].into_boxed_slice();
        }
        for place in self.places(hash) {
            self.counts[place] = self.counts[place].saturating_add(1);
        }
        self.additions += 1;
        // So few a period that a key which was seen once meets only a counter in two taken.
        if self.additions > self.width() / 2 {
            self.additions = 0;
            self.counts.iter_mut().for_each(|count| *count >>= 1);
        }
    }

    pub(super) fn estimate(&self, hash: u64) -> u8 {
        let count = |place: usize| self.counts.get(place).copied();
        let counts = self.places(hash).into_iter().filter_map(count);
        counts.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn it_takes_nothing_before_the_first_count_and_what_it_has_said_from_then_on() {
        for bytes in [0, 1_000, 16 << 10, 131_071] {
            let mut sketch = Sketch::within(bytes);
            assert_eq!(sketch.estimate(1), 0);
            assert!(sketch.counts.is_empty());
            sketch.count(1);
            assert_eq!(sketch.estimate(1), 1);
            assert_eq!(sketch.counts.len(), sketch.bytes());
            assert!(sketch.bytes() <= bytes.max(ROWS * LEAST_WIDTH));
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
