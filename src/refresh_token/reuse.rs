//! What is told of a token that was used twice.

use super::{FamilyId, Grant};

/// A token was presented that had been exchanged before: either the client or somebody else holds
/// a copy. Its family is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reuse {
    /// The family that is revoked.
    pub family: FamilyId,
    /// Whom it was for.
    pub grant: Grant,
    /// The client that has presented the token.
    pub presented_by: Box<str>,
}
