//! Random numbers of the operating system.

use super::Timestamp;

/// The operating system gave no random bytes.
#[derive(Debug)]
pub(crate) struct NoEntropy;

/// Bytes that nobody can guess: for ids, tokens and nonces.
pub(crate) fn secret<const BYTES: usize>() -> Result<[u8; BYTES], NoEntropy> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// A number that is unlike the last one in any process, for what need not be unguessable. Without
/// entropy the time will do.
pub(crate) fn unique() -> u64 {
    getrandom::u64().unwrap_or_else(|_| Timestamp::now().as_micros())
}

/// One of 0 < x ≤ 1, evenly, for what is to be spread in time.
pub(crate) fn fraction() -> f64 {
    // In the time, only the low bits are random.
    let bits = getrandom::u64().unwrap_or_else(|_| Timestamp::now().as_micros() << 44);
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fraction_is_above_nothing_and_at_most_the_whole() {
        let fractions: Vec<_> = (0..1_000).map(|_| super::fraction()).collect();
        assert!(fractions.iter().all(|x| *x > 0.0 && *x <= 1.0));
        let mean = fractions.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }

    #[test]
    fn numbers_are_unlike_each_other() {
        let numbers: std::collections::HashSet<_> = (0..1_000).map(|_| super::unique()).collect();
        assert_eq!(numbers.len(), 1_000);
    }

    #[test]
    fn a_secret_has_all_its_bytes_from_the_operating_system() {
        let secrets: Vec<[u8; 32]> = (0..100).map(|_| super::secret().unwrap()).collect();
        for place in 0..32 {
            let values: std::collections::HashSet<_> = secrets.iter().map(|s| s[place]).collect();
            assert!(values.len() > 50, "byte {place}");
        }
    }
}
