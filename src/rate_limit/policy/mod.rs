//! A quota with a name, written as the list item of the `RateLimit-Policy` field.

mod error;
mod item;
mod quota;

pub use error::QuotaPolicyError;
pub(crate) use item::{integer, key};
pub use quota::{Quota, QuotaError};

use std::{fmt, sync::Arc};

use sfv::{ItemSerializer, StringRef};

use crate::store::operations::limit::{Algorithm, NamedLimit};

/// A quota policy: a name, a [`Quota`] and the [`Algorithm`] that enforces it.
///
/// It reads and prints as the list item of the `RateLimit-Policy` field
/// (draft-ietf-httpapi-ratelimit-headers-10, section 3.1), with `alg` as a parameter of our own:
///
/// ```
/// use tower_keep::rate_limit::{Algorithm, QuotaPolicy};
///
/// let policy: QuotaPolicy = r#""burst";q=5;w=10"#.parse()?;
/// assert_eq!(policy.name(), "burst");
/// assert_eq!(policy.algorithm(), Algorithm::Gcra);
/// assert_eq!(policy.to_string(), r#""burst";q=5;w=10"#);
///
/// let daily: QuotaPolicy = r#""daily";q=1000;w=86400;alg=fixed"#.parse()?;
/// assert_eq!(daily.algorithm(), Algorithm::FixedWindow);
/// # Ok::<(), tower_keep::rate_limit::QuotaPolicyError>(())
/// ```
///
/// What is consumed goes by the name, the algorithm and the window: two layers with the same of
/// these and the same kind of [`Key`](super::Key) draw from one budget, and policies that differ
/// in one of them know nothing of each other. When a deployment changes the quota, everybody
/// keeps the fraction of it that they have used.
///
/// Every quota is enforced exactly: never more of it is admitted, and in the long run no less.
#[derive(Clone, PartialEq, Eq)]
pub struct QuotaPolicy(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    name: Box<str>,
    /// The name as a String of a structured field, with its quotation marks.
    quoted_name: Box<str>,
    quota: Quota,
    algorithm: Algorithm,
}

const MAX_NAME: usize = 100;

impl QuotaPolicy {
    /// Enforces `quota` by GCRA: it is the burst, and its units come back one by one, evenly
    /// over the window.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn gcra(name: &str, quota: Quota) -> Result<Self, QuotaPolicyError> {
        Self::new(name, quota, Algorithm::Gcra)
    }

    /// Enforces `quota` by windows that start with the first request of each subject.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn fixed_window(name: &str, quota: Quota) -> Result<Self, QuotaPolicyError> {
        Self::new(name, quota, Algorithm::FixedWindow)
    }

    fn new(name: &str, quota: Quota, algorithm: Algorithm) -> Result<Self, QuotaPolicyError> {
        let string = StringRef::from_str(name).ok();
        let string = string.filter(|_| (1..=MAX_NAME).contains(&name.len()));
        let Some(string) = string else {
            return Err(QuotaPolicyError::Name(
                name.chars().take(MAX_NAME).collect(),
            ));
        };
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            quoted_name: ItemSerializer::new().bare_item(string).finish().into(),
            quota,
            algorithm,
        })))
    }

    /// The same policy with a share of the quota.
    pub(crate) fn share(&self, share: f64) -> Self {
        Self(Arc::new(Inner {
            name: self.0.name.clone(),
            quoted_name: self.0.quoted_name.clone(),
            quota: self.0.quota.share(share),
            algorithm: self.0.algorithm,
        }))
    }

    /// The name that clients see.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name as a String of a structured field.
    pub(crate) fn quoted_name(&self) -> &str {
        &self.0.quoted_name
    }

    /// How much in how long.
    pub fn quota(&self) -> Quota {
        self.0.quota
    }

    /// How the quota is enforced.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The limit to ask the store for.
    pub(crate) fn limit(&self) -> NamedLimit {
        let limit = self.0.quota.under(self.0.algorithm);
        NamedLimit::new(&key_name(&self.0.name), limit)
    }
}

/// Names may hold braces, which would move a cluster's hash tag, and what a SCAN takes for a
/// pattern: anything but `A-Z a-z 0-9 . _ -` is percent-encoded.
fn key_name(name: &str) -> String {
    use fmt::Write;

    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                encoded.push(byte.into());
            }
            _ => write!(encoded, "%{byte:02X}").expect("a String takes what is written to it"),
        }
    }
    encoded
}

impl fmt::Debug for QuotaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuotaPolicy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_key() {
        assert_eq!(key_name("{a} *:%1"), "%7Ba%7D%20%2A%3A%251");
    }
}
