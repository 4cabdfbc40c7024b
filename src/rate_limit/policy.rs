//! A quota with a name, written as the list item of the `RateLimit-Policy` field.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sfv::{BareItem, Item, ItemSerializer, KeyRef, Parser, StringRef, TokenRef};

use super::quota::{Quota, QuotaError};
use crate::store::operations::limit::{Algorithm, NamedLimit};

/// A quota policy: a name, a [`Quota`] and the [`Algorithm`] that enforces it.
///
/// It reads and prints as the list item of the `RateLimit-Policy` field
/// (draft-ietf-httpapi-ratelimit-headers-10, section 3.1), with `alg` as a parameter of our own:
///
/// ```
/// use tower_keep::rate_limit::{Algorithm, Policy};
///
/// let policy: Policy = r#""burst";q=5;w=10"#.parse()?;
/// assert_eq!(policy.name(), "burst");
/// assert_eq!(policy.algorithm(), Algorithm::Gcra);
/// assert_eq!(policy.to_string(), r#""burst";q=5;w=10"#);
///
/// let daily: Policy = r#""daily";q=1000;w=86400;alg=fixed"#.parse()?;
/// assert_eq!(daily.algorithm(), Algorithm::FixedWindow);
/// # Ok::<(), tower_keep::rate_limit::PolicyError>(())
/// ```
///
/// What is consumed goes by the name, the algorithm and the window: two layers with the same of
/// these and the same kind of [`Key`](super::Key) draw from one budget, and policies that differ
/// in one of them know nothing of each other. When a deployment changes the quota, everybody
/// keeps the fraction of it that they have used.
///
/// Every quota is enforced exactly: never more of it is admitted, and in the long run no less.
#[derive(Clone, PartialEq, Eq)]
pub struct Policy(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    name: Box<str>,
    /// The name as a String of a structured field, with its quotation marks.
    quoted_name: Box<str>,
    quota: Quota,
    algorithm: Algorithm,
}

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
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

const MAX_NAME: usize = 100;

impl Policy {
    /// Enforces `quota` by GCRA: it is the burst, and its units come back one by one, evenly
    /// over the window.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn gcra(name: &str, quota: Quota) -> Result<Self, PolicyError> {
        Self::new(name, quota, Algorithm::Gcra)
    }

    /// Enforces `quota` by windows that start with the first request of each subject.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters.
    pub fn fixed_window(name: &str, quota: Quota) -> Result<Self, PolicyError> {
        Self::new(name, quota, Algorithm::FixedWindow)
    }

    fn new(name: &str, quota: Quota, algorithm: Algorithm) -> Result<Self, PolicyError> {
        let string = StringRef::from_str(name).ok();
        let string = string.filter(|_| (1..=MAX_NAME).contains(&name.len()));
        let Some(string) = string else {
            return Err(PolicyError::Name(name.chars().take(MAX_NAME).collect()));
        };
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            quoted_name: ItemSerializer::new().bare_item(string).finish().into(),
            quota,
            algorithm,
        })))
    }

    /// The same policy with a share of the quota.
    pub(super) fn share(&self, share: f64) -> Self {
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
    pub(super) fn quoted_name(&self) -> &str {
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
    pub(super) fn limit(&self) -> NamedLimit {
        let limit = self.0.quota.under(self.0.algorithm);
        NamedLimit::new(&key_name(&self.0.name), limit)
    }

    /// The item as clients are told: without `alg`, which is nobody else's business.
    pub(super) fn advertised(&self) -> String {
        let name = StringRef::from_str(self.name()).expect("checked when the policy was made");
        ItemSerializer::new()
            .bare_item(name)
            .parameter(key("q"), integer(self.0.quota.limit()))
            .parameter(key("w"), integer(self.0.quota.window().as_secs()))
            .finish()
    }
}

/// A parameter's name.
pub(super) fn key(name: &'static str) -> &'static KeyRef {
    KeyRef::from_str(name).expect("the names of our parameters are keys")
}

/// Quotas and the times that come of them fit; anything else is cut to the largest there is.
pub(super) fn integer(value: u64) -> sfv::Integer {
    sfv::Integer::try_from(value).unwrap_or(sfv::Integer::MAX)
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

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(input: &str) -> Result<Self, PolicyError> {
        let malformed = |reason: String| PolicyError::Malformed {
            input: input.to_owned(),
            reason,
        };
        let wrong = |parameter: &str, expected| PolicyError::Parameter {
            input: input.to_owned(),
            parameter: parameter.to_owned(),
            expected,
        };
        let item: Item = Parser::new(input.trim())
            .parse()
            .map_err(|error| malformed(error.to_string()))?;
        let BareItem::String(name) = &item.bare_item else {
            return Err(malformed("the name is not in double quotes".to_owned()));
        };
        let known = |name: &&sfv::Key| ["q", "w", "alg"].contains(&name.as_str());
        if let Some(unknown) = item.params.keys().find(|name| !known(name)) {
            return Err(wrong(unknown.as_str(), "unknown, expected q, w and alg"));
        }
        let number = |name, expected| {
            let value = item.params.get(name).and_then(|value| value.as_integer());
            let unsigned = value.and_then(|value| u64::try_from(i64::from(value)).ok());
            unsigned.ok_or_else(|| wrong(name, expected))
        };
        let limit = number("q", "expected a number of units, as in q=5")?;
        let window = number("w", "expected a window in seconds, as in w=10")?;
        let algorithm = match item.params.get("alg") {
            None => Algorithm::Gcra,
            Some(name) => match name.as_token().map(TokenRef::as_str) {
                Some("gcra") => Algorithm::Gcra,
                Some("fixed") => Algorithm::FixedWindow,
                Some("sliding") => {
                    return Err(wrong(
                        "alg",
                        "sliding is not available, expected gcra or fixed",
                    ));
                }
                _ => return Err(wrong("alg", "expected gcra or fixed")),
            },
        };
        let quota =
            Quota::new(limit, Duration::from_secs(window)).map_err(|error| PolicyError::Quota {
                name: name.as_str().to_owned(),
                error,
            })?;
        Self::new(name.as_str(), quota, algorithm)
    }
}

/// The list item, with `alg` where it is not GCRA. [`FromStr`] reads it.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advertised())?;
        match self.algorithm() {
            Algorithm::Gcra => Ok(()),
            Algorithm::FixedWindow => f.write_str(";alg=fixed"),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> Result<Policy, PolicyError> {
        input.parse()
    }

    #[test]
    fn what_is_printed_reads_as_the_same_policy() {
        for item in [
            r#""burst";q=5;w=10"#,
            r#""per hour";q=1000;w=3600;alg=fixed"#,
            r#""a \"quoted\" {name}\\";q=1;w=1"#,
        ] {
            assert_eq!(parse(item).unwrap().to_string(), item);
        }
        assert_eq!(
            parse(r#""a";q=1;w=1;alg=gcra"#).unwrap().to_string(),
            r#""a";q=1;w=1"#
        );
    }

    #[test]
    fn a_name_is_safe_in_a_key() {
        assert_eq!(key_name("{a} *:%1"), "%7Ba%7D%20%2A%3A%251");
    }

    #[test]
    fn an_error_names_the_input_and_what_would_be_right() {
        let cases = [
            (
                "burst;q=5;w=10",
                r#"expected a list item such as "burst";q=5;w=10"#,
            ),
            ("", "expected a list item"),
            (r#""burst";q=5;w=10, "b";q=1;w=1"#, "expected a list item"),
            (
                r#""burst";w=10"#,
                "q: expected a number of units, as in q=5",
            ),
            (
                r#""burst";q=5"#,
                "w: expected a window in seconds, as in w=10",
            ),
            (r#""burst";q=1.5;w=10"#, "as in q=5"),
            (r#""burst";q=-5;w=10"#, "as in q=5"),
            (r#""burst";q="5";w=10"#, "as in q=5"),
            (r#""burst";q=5;w=ten"#, "as in w=10"),
            (
                r#""burst";q=5;w=10;alg=sliding"#,
                "alg: sliding is not available, expected gcra or fixed",
            ),
            (
                r#""burst";q=5;w=10;alg=leaky"#,
                "alg: expected gcra or fixed",
            ),
            (
                r#""burst";q=5;w=10;qu="requests""#,
                "qu: unknown, expected q, w and alg",
            ),
        ];
        for (input, expected) in cases {
            let error = parse(input).unwrap_err().to_string();
            assert!(error.contains(input) && error.contains(expected), "{error}");
        }
        for (input, expected) in [
            (
                r#""burst";q=0;w=10"#,
                r#"policy "burst": a quota of 0 units: expected 1 to"#,
            ),
            (r#""burst";q=5;w=0"#, "expected whole seconds from 1"),
            (
                r#""burst";q=5;w=999999999999"#,
                "expected whole seconds from 1",
            ),
            (
                r#""burst";q=1000000000001;w=1"#,
                "a quota of 1000000000001 units: expected 1 to 1000000000000",
            ),
            (
                r#""";q=5;w=10"#,
                "expected 1 to 100 printable ASCII characters",
            ),
        ] {
            let error = parse(input).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let quota = Quota::per_second(1).unwrap();
        assert!(Policy::gcra("naïve", quota).is_err());
        assert!(Policy::gcra(&"a".repeat(101), quota).is_err());
    }
}
