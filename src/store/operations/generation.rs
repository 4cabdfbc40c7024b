//! The names of fills.

use bytes::Bytes;

use crate::store::{memory::Weigh, random};

/// Names what is stored under a key from its first fill to its invalidation: a fill that was
/// announced under another one comes too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation(pub(crate) Bytes);

impl Weigh for Generation {
    fn weight(&self) -> usize {
        self.0.weight()
    }
}

impl Generation {
    /// A new one: 128 random bits.
    pub(crate) fn random() -> Self {
        let halves = [random::unique(), random::unique()];
        Self(Bytes::copy_from_slice(
            halves.map(u64::to_be_bytes).as_flattened(),
        ))
    }
}
