//! The words of a configuration, each type's in one list.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    rate_limit::{
        fields::HeaderDialect,
        key::{ForwardingField, Key, MissingKey},
        limiter::RateLimitOnStoreError,
        policy::QuotaUnit,
    },
    store::operations::limit::Algorithm,
};

/// A word that is none of those that it could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?}: expected {expected}")]
pub struct UnknownName {
    given: String,
    expected: &'static str,
}

impl UnknownName {
    pub(crate) fn new(given: &str, expected: &'static str) -> Self {
        Self {
            given: given.chars().take(100).collect(),
            expected,
        }
    }
}

/// Reads a type from its name, and from that in a configuration file.
macro_rules! names {
    ($type:ty, $expected:literal, $($name:literal => $value:expr),+ $(,)?) => {
        #[doc = concat!("From ", $expected, ".")]
        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($name => Ok($value),)+
                    _ => Err(UnknownName::new(name, $expected)),
                }
            }
        }

        from_text!($type);
    };
}

/// Reads a type from a configuration file as it is read from a text.
macro_rules! from_text {
    ($type:ty) => {
        /// From the text that [`FromStr`] reads.
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

names!(
    Algorithm,
    "`gcra`, `fixed`, `sliding` or `concurrency`",
    "gcra" => Self::Gcra,
    "fixed" => Self::FixedWindow,
    "sliding" => Self::SlidingWindow,
    "concurrency" => Self::Concurrency,
);
names!(
    QuotaUnit,
    "`requests`, `content-bytes` or `concurrent-requests`",
    "requests" => Self::Requests,
    "content-bytes" => Self::ContentBytes,
    "concurrent-requests" => Self::ConcurrentRequests,
);
names!(
    HeaderDialect,
    "`ietf`, `draft-07`, `x-rate-limit` or `none`",
    "ietf" => Self::Ietf,
    "draft-07" => Self::Draft07,
    "x-rate-limit" => Self::XRateLimit,
    "none" => Self::None,
);
names!(
    MissingKey,
    "`shared`, `deny` or `skip`",
    "shared" => Self::Shared,
    "deny" => Self::Deny,
    "skip" => Self::Skip,
);
names!(
    ForwardingField,
    "`x-forwarded-for` or `forwarded`",
    "x-forwarded-for" => Self::XForwardedFor,
    "forwarded" => Self::Forwarded,
);

/// From `local`, `local:SHARE` with a share from 0 to 1, `allow` or `deny`.
impl FromStr for RateLimitOnStoreError {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let share = text.strip_prefix("local:").map(f64::from_str);
        match (text, share) {
            ("local", _) => Ok(Self::default()),
            ("allow", _) => Ok(Self::Allow),
            ("deny", _) => Ok(Self::Deny),
            (_, Some(Ok(share))) if (0.0..=1.0).contains(&share) => Ok(Self::Local { share }),
            _ => Err(UnknownName::new(
                text,
                "`local`, `local:SHARE` with a share from 0 to 1, `allow` or `deny`",
            )),
        }
    }
}

from_text!(RateLimitOnStoreError);
from_text!(Key);
