//! The memory half: what the hash of a primary key holds, as a struct.

use bytes::Bytes;

use super::Generation;
use crate::store::{
    Timestamp,
    memory::{Weigh, heap},
};

/// All that is stored under one primary cache key.
#[derive(Debug, Default)]
pub(crate) struct ResponseSet {
    pub(super) generation: Option<Generation>,
    /// Fills under way, or lost with their process.
    pub(super) fills: u64,
    /// The lists of names that `Vary` had, newest first.
    pub(super) vary: Vec<Box<str>>,
    /// Oldest first.
    pub(super) variants: Vec<StoredVariant>,
}

#[derive(Debug)]
pub(super) struct StoredVariant {
    pub(super) variant: Box<str>,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
    pub(super) expires_at: Timestamp,
}

impl ResponseSet {
    pub(super) fn variant(&self, variant: &str) -> Option<&StoredVariant> {
        self.variants
            .iter()
            .find(|stored| &*stored.variant == variant)
    }
}

impl Weigh for ResponseSet {
    fn weight(&self) -> usize {
        let variants = self
            .variants
            .iter()
            .map(|stored| heap(stored.variant.len()) + stored.head.weight() + stored.body.weight());
        let vary = self.vary.iter().map(|list| heap(list.len()));
        let generation = self.generation.as_ref();
        heap(self.variants.capacity() * size_of::<StoredVariant>())
            + heap(self.vary.capacity() * size_of::<Box<str>>())
            + generation.map_or(0, |generation| generation.0.weight())
            + variants.sum::<usize>()
            + vary.sum::<usize>()
    }
}
