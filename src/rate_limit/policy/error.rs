//! Why a policy cannot be used.

use sfv::StringRef;

use super::quota::QuotaError;
use crate::rate_limit::key::KeyError;

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaPolicyError {
    /// Not a structured-field item with a String as its value (RFC 9651).
    #[error("policy {input}: expected a list item such as \"burst\";q=5;w=10 ({reason})")]
    Malformed {
        /// What was given.
        input: String,
        /// What the parser says.
        reason: String,
    },
    /// A parameter that is missing, unknown or of another type.
    #[error("policy {input}: parameter {parameter}: {expected}")]
    Parameter {
        /// What was given.
        input: String,
        /// The parameter.
        parameter: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A name that is empty, too long, or that a String of a structured field cannot hold.
    #[error("policy name {0:?}: expected 1 to 100 printable ASCII characters")]
    Name(String),
    /// A quota that cannot be enforced.
    #[error("policy {name:?}: {error}")]
    Quota {
        /// The policy's name.
        name: String,
        /// What is wrong with its quota.
        #[source]
        error: QuotaError,
    },
    /// A key of a configuration that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A limit without a policy.
    #[error("no policy: expected at least one, such as \"burst\";q=5;w=10")]
    Missing,
    /// A share that blocks cannot have.
    #[error("blocks of a share {0}: expected more than 0 and at most 0.1, as in 0.01")]
    BlockShare(String),
    /// A policy of which no blocks can be taken.
    #[error("policy {0:?}: blocks can be taken of alg=gcra only")]
    NoBlocks(String),
    /// A limiter that takes blocks, with a ban, which such a limiter could not keep.
    #[error("ban {0:?}: a limiter that takes blocks cannot ban: leave out the ban or the blocks")]
    BannedBlocks(String),
    /// A limiter that takes blocks, among several that are asked as one.
    #[error("policy {0:?}: a limiter that takes blocks cannot be asked together with others")]
    JointBlocks(String),
    /// Limiters of different stores, which cannot be asked as one.
    #[error("policy {0:?}: expected the same store as that of the limiters it is asked with")]
    JointStores(String),
    /// There is no policy of that name.
    #[error("there is no policy {0:?}: expected the name of one that the layer has")]
    Unknown(String),
    /// Two policies of one layer share a name, and so would share a state.
    #[error("policy {0:?} is given twice: expected a name of its own for each policy of a layer")]
    Duplicate(String),
}

const MAX_NAME: usize = 100;

impl QuotaPolicyError {
    /// The name as a String of a structured field, if it is one.
    pub(crate) fn check_name(name: &str) -> Result<&StringRef, Self> {
        let string = StringRef::from_str(name).ok();
        let string = string.filter(|_| (1..=MAX_NAME).contains(&name.len()));
        string.ok_or_else(|| Self::Name(name.chars().take(MAX_NAME).collect()))
    }
}
