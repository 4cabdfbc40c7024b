//! A family as it is stored.

use std::fmt;

use bytes::Bytes;

use crate::store::{
    clock::Timestamp,
    memory::{Weigh, heap},
};

/// 128 bits of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 16]);

/// Names a family: the digest of the secret that its tokens share.
pub(crate) type FamilyName = Digest;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// A family. On Redis it is a string: the times and the generation in big-endian, the digests, and
/// what it is for. Times are milliseconds of the server's clock.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// When the newest token ends, and the family with it.
    pub(crate) ends: u64,
    /// The number of the newest token.
    pub(crate) generation: u32,
    /// When that was issued.
    pub(crate) rotated: u64,
    /// When the first was.
    pub(crate) created: u64,
    /// Of the newest token's secret.
    pub(crate) current: Digest,
    /// Of the secret of the token before.
    pub(crate) previous: Digest,
    /// What the newest token was derived with from the one before.
    pub(crate) nonce: [u8; 16],
    pub(crate) client: Digest,
    pub(crate) device: Digest,
    /// What was granted, each token of it between spaces; empty for nothing in particular.
    pub(crate) scope: Bytes,
    /// What the room wants to know of it.
    pub(crate) about: Bytes,
}

impl Family {
    /// The generation of a family that has ended because a token of it was reused.
    pub(crate) const TOMBSTONE: u32 = u32::MAX;

    /// The bytes before the scope, which ends with a line feed.
    pub(super) const FIXED: usize = 102;

    /// Reads what Redis holds; `None` if that is no family.
    pub(crate) fn decode(stored: &Bytes) -> Option<Self> {
        let (fixed, tail) = stored.split_at_checked(Self::FIXED)?;
        let mut fixed = fixed;
        let mut take = |count| {
            let (taken, rest) = fixed.split_at(count);
            fixed = rest;
            taken
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let digest = |bytes: &[u8]| bytes.try_into().map(Digest).ok();
        let line = tail.iter().position(|byte| *byte == b'\n')?;
        Some(Self {
            ends: number(take(6)),
            generation: u32::try_from(number(take(4))).ok()?,
            rotated: number(take(6)),
            created: number(take(6)),
            current: digest(take(16))?,
            previous: digest(take(16))?,
            nonce: take(16).try_into().ok()?,
            client: digest(take(16))?,
            device: digest(take(16))?,
            scope: stored.slice(Self::FIXED..Self::FIXED + line),
            about: stored.slice(Self::FIXED + line + 1..),
        })
    }

    /// Whether a token of it is good at this moment.
    pub(crate) fn lives(&self, now: u64) -> bool {
        self.ends > now && self.generation != Self::TOMBSTONE
    }
}

/// Families of one user on embedded memory.
#[derive(Debug, Default)]
pub(crate) struct Families(pub(super) Vec<(FamilyName, Family)>);

impl Families {
    pub(super) fn find(&mut self, name: &FamilyName) -> Option<&mut Family> {
        let found = self.0.iter_mut().find(|(other, _)| other == name);
        found.map(|(_, family)| family)
    }

    pub(super) fn remove(&mut self, name: &FamilyName) {
        self.0.retain(|(other, _)| other != name);
    }
}

impl Weigh for Families {
    fn weight(&self) -> usize {
        let texts = self
            .0
            .iter()
            .map(|(_, family)| family.scope.weight() + family.about.weight());
        heap(self.0.capacity() * size_of::<(FamilyName, Family)>()) + texts.sum::<usize>()
    }
}

/// The moment as families count it.
pub(super) fn millis(now: Timestamp) -> u64 {
    now.as_millis()
}
