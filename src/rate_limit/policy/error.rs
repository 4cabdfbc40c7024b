//! Why a policy cannot be used.

use super::quota::QuotaError;

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
    /// Two policies of one layer share a name, and so would share a state.
    #[error("policy {0:?} is given twice: expected a name of its own for each policy of a layer")]
    Duplicate(String),
}
