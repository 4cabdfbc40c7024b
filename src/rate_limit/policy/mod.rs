//! A quota with a name, written as the list item of the `RateLimit-Policy` field.

mod config;
mod error;
mod item;
mod quota;
mod unit;

pub use error::QuotaPolicyError;
pub(crate) use item::{integer, key};
pub use quota::{Quota, QuotaError};
pub use unit::QuotaUnit;

use std::{fmt, sync::Arc};

use sfv::ItemSerializer;

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
/// Every quota is enforced exactly: never more of it is admitted, and in the long run no less. A
/// policy also reads from a configuration file, as that item or as a table of its parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct QuotaPolicy(Arc<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    name: Arc<str>,
    /// The name as a String of a structured field, with its quotation marks.
    quoted_name: Box<str>,
    quota: Quota,
    algorithm: Algorithm,
    unit: QuotaUnit,
}

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

    /// Enforces `quota` so that no span of a window's length sees more of it.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn sliding_window(name: &str, quota: Quota) -> Result<Self, QuotaPolicyError> {
        Self::new(name, quota, Algorithm::SlidingWindow)
    }

    /// Admits so many requests at a time as the quota has units. Its window is the lease of a
    /// place: a process renews the places of its requests while they last, and those of a
    /// process that has crashed are free again after the window.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn concurrency(name: &str, quota: Quota) -> Result<Self, QuotaPolicyError> {
        Self::new(name, quota, Algorithm::Concurrency)
    }

    /// Enforces `quota` by any of the algorithms.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn new(name: &str, quota: Quota, algorithm: Algorithm) -> Result<Self, QuotaPolicyError> {
        let string = QuotaPolicyError::check_name(name)?;
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            quoted_name: ItemSerializer::new().bare_item(string).finish().into(),
            quota,
            algorithm,
            unit: match algorithm {
                Algorithm::Concurrency => QuotaUnit::ConcurrentRequests,
                _ => QuotaUnit::default(),
            },
        })))
    }

    /// Says what the units are; requests, unless it is a concurrency limit. Clients are told by the
    /// parameter `qu`.
    #[must_use]
    pub fn with_unit(&self, unit: QuotaUnit) -> Self {
        self.with(|inner| inner.unit = unit)
    }

    /// The same policy with another quota.
    #[must_use]
    pub fn with_quota(&self, quota: Quota) -> Self {
        self.with(|inner| inner.quota = quota)
    }

    /// The same policy with a share of the quota.
    pub(crate) fn share(&self, share: f64) -> Self {
        self.with_quota(self.0.quota.share(share))
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The name that clients see.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its name, to be kept.
    #[cfg(feature = "metrics")]
    pub(super) fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
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

    /// What the units are.
    pub fn unit(&self) -> QuotaUnit {
        self.0.unit
    }

    /// The limit to ask the store for.
    pub(crate) fn limit(&self) -> NamedLimit {
        let limit = self.0.quota.under(self.0.algorithm);
        NamedLimit::new(&key_name(&self.0.name), limit)
    }
}

/// Names may hold braces, which would move a cluster's hash tag, and what a SCAN takes for a
/// pattern: anything but `A-Z a-z 0-9 . _ -` is percent-encoded.
pub(crate) fn key_name(name: &str) -> String {
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
