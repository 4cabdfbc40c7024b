//! The names of fills.

use bytes::Bytes;

use crate::store::{clock::Timestamp, memory::Weigh};

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
        let mut bytes = [0; 16];
        // Without entropy the time will do: it has to be unlike the last, not unguessable.
        if getrandom::fill(&mut bytes).is_err() {
            bytes[..8].copy_from_slice(&Timestamp::now().as_micros().to_be_bytes());
        }
        Self(Bytes::copy_from_slice(&bytes))
    }
}
