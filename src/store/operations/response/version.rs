//! The names of stored variants, and which of them is newer.

use std::fmt;

use crate::store::random;

/// Names a variant as it is stored at a time, head and body: a store that replaces one head of it
/// says which one it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Version(u64);

/// Which of two responses is newer: the greater `Date`, then the later time of receipt.
pub(crate) type Recency = (u64, u64);

impl Version {
    /// The digits of one.
    pub(super) const LENGTH: usize = 16;

    /// A new one: 64 random bits.
    pub(crate) fn random() -> Self {
        Self(random::unique())
    }

    /// Reads one of 16 hexadecimal digits.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(digits).ok()?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a store may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaces {
    /// The variant that was seen, and no other: for what was made of it.
    Only(Version),
    /// What is not newer, and whatever its recency the variant that was seen.
    NotNewer { seen: Option<Version> },
}

impl Replaces {
    /// Whether a response of `recency` may replace the `stored` one of that recency.
    pub(super) fn allows(self, recency: Recency, stored: Option<(Version, Recency)>) -> bool {
        match (self, stored) {
            (Self::Only(seen), Some((version, _))) => version == seen,
            (Self::Only(_), None) => false,
            (Self::NotNewer { .. }, None) => true,
            (Self::NotNewer { seen }, Some((version, stored))) => {
                seen == Some(version) || recency >= stored
            }
        }
    }
}
