//! Random numbers for what is to be spread in time. Nothing depends on their being secret.

use crate::store::Timestamp;

/// One of 0 < x ≤ 1, evenly.
pub(crate) fn fraction() -> f64 {
    // Without entropy the time will do.
    let bits = getrandom::u64().unwrap_or_else(|_| Timestamp::now().as_micros() << 44);
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_above_nothing_and_at_most_the_whole() {
        let fractions: Vec<_> = (0..1_000).map(|_| fraction()).collect();
        assert!(fractions.iter().all(|x| *x > 0.0 && *x <= 1.0));
        let mean = fractions.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
