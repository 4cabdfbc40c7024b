//! A layer's settings in a configuration file.

mod names;

pub use names::UnknownName;

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    fields::HeaderDialect,
    key::{Key, KeyError, MissingKey},
    layer::RateLimitLayer,
    limiter::{BanPolicy, RateLimitOnStoreError, RateLimiter},
    policy::{QuotaPolicy, QuotaPolicyError},
};
use crate::store::Store;

/// The settings of a [`RateLimitLayer`] as a TOML, YAML or JSON file holds them. All but the
/// policies can be left out.
///
/// ```
/// use tower_keep::{Store, rate_limit::{RateLimitConfig, RateLimitLayer}};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config: RateLimitConfig = serde_json::from_str(r#"{
///     "policies": ["\"burst\";q=5;w=10", {"name": "hourly", "q": 1000, "w": 3600, "alg": "sliding"}],
///     "key": "client_ip:1 + method",
///     "ipv6_prefix": 56,
///     "missing_key": "deny",
///     "on_store_error": "local:0.5",
///     "headers": "ietf",
///     "partition_key": false,
///     "shadow": false,
///     "denial_recheck": 5,
///     "ban": {"name": "abuse", "denials": 100, "within": 60, "lasting": 600, "longest": 86400},
///     "max_wait": {"seconds": 0.5, "queue": 100},
///     "and": [
///         {"policies": ["\"api-key\";q=100;w=60"], "key": "header:x-api-key"},
///         {"policies": ["\"all\";q=5000;w=1"], "key": "global", "on_store_error": "allow"}
///     ]
/// }"#)?;
/// let limit = RateLimitLayer::from_config(Store::memory(), config)?;
/// # Ok(()) }
/// # example().unwrap();
/// ```
///
/// Times are seconds. The setters of [`RateLimitLayer`] say what the fields mean, and [`Key`] what a key
/// reads from. `ipv6_prefix` is that of the [key](Key::with_ipv6_prefix), and `blocks`, which does not go
/// with `and`, the [share](RateLimitLayer::with_blocks) of the quotas. What is under `and` are
/// [limiters](RateLimitLayer::and_limiter) that count by a key of their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    policies: Vec<QuotaPolicy>,
    #[serde(default)]
    key: Key,
    ipv6_prefix: Option<u8>,
    #[serde(default)]
    missing_key: MissingKey,
    #[serde(default)]
    on_store_error: RateLimitOnStoreError,
    #[serde(default)]
    headers: HeaderDialect,
    #[serde(default)]
    partition_key: bool,
    #[serde(default)]
    shadow: bool,
    denial_recheck: Option<Seconds>,
    ban: Option<BanPolicy>,
    max_wait: Option<MaxWait>,
    blocks: Option<f64>,
    #[serde(default)]
    and: Vec<LimiterConfig>,
}

/// Limits by another key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimiterConfig {
    policies: Vec<QuotaPolicy>,
    key: Key,
    ipv6_prefix: Option<u8>,
    #[serde(default)]
    on_store_error: RateLimitOnStoreError,
    ban: Option<BanPolicy>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxWait {
    seconds: Seconds,
    queue: usize,
}

#[derive(Debug, Clone, Copy)]
struct Seconds(Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| D::Error::custom(format_args!("{seconds}: expected a number of seconds")))
    }
}

/// From a table of `name`, `denials`, `within`, `lasting` and, if it is not a day, `longest`, with
/// times in seconds.
impl<'de> Deserialize<'de> for BanPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: String,
            denials: u64,
            within: Seconds,
            lasting: Seconds,
            longest: Option<Seconds>,
        }
        let table = Table::deserialize(deserializer)?;
        let (within, lasting) = (table.within.0, table.lasting.0);
        let ban = Self::new(&table.name, table.denials, within, lasting);
        let ban = ban.map_err(D::Error::custom)?;
        match table.longest {
            Some(Seconds(longest)) => ban.with_longest(longest).map_err(D::Error::custom),
            None => Ok(ban),
        }
    }
}

impl RateLimitLayer {
    /// A layer with the settings of a configuration file.
    ///
    /// # Errors
    ///
    /// When there is no policy, two have the same name, or a prefix, a share of blocks or limiters
    /// asked together are none that the layer's setters would take.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as every other constructor has it"
    )]
    pub fn from_config(store: Store, config: RateLimitConfig) -> Result<Self, QuotaPolicyError> {
        let limiter = limiter_of(&store, config.policies)?;
        let mut layer = Self::from_limiter(limiter)
            .with_key(grouped(config.key, config.ipv6_prefix)?)
            .on_missing_key(config.missing_key)
            .on_store_error(config.on_store_error)
            .with_headers(config.headers)
            .with_shadow(config.shadow);
        if config.partition_key {
            layer = layer.with_partition_key();
        }
        if let Some(Seconds(interval)) = config.denial_recheck {
            layer = layer.with_denial_recheck(interval);
        }
        if let Some(ban) = config.ban {
            layer = layer.with_ban(ban)?;
        }
        if let Some(MaxWait { seconds, queue }) = config.max_wait {
            layer = layer.with_max_wait(seconds.0, queue);
        }
        if let Some(share) = config.blocks {
            layer = layer.with_blocks(share)?;
        }
        for other in config.and {
            let mut limiter = limiter_of(&store, other.policies)?;
            limiter = limiter.on_store_error(other.on_store_error);
            if let Some(ban) = other.ban {
                limiter = limiter.with_ban(ban)?;
            }
            layer = layer.and_limiter(limiter, grouped(other.key, other.ipv6_prefix)?)?;
        }
        Ok(layer)
    }
}

fn grouped(key: Key, ipv6_prefix: Option<u8>) -> Result<Key, KeyError> {
    match ipv6_prefix {
        Some(bits) => key.with_ipv6_prefix(bits),
        None => Ok(key),
    }
}

fn limiter_of(store: &Store, policies: Vec<QuotaPolicy>) -> Result<RateLimiter, QuotaPolicyError> {
    let mut policies = policies.into_iter();
    let first = policies.next().ok_or(QuotaPolicyError::Missing)?;
    let limiter = RateLimiter::new(store.clone(), first);
    policies.try_fold(limiter, RateLimiter::and_policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<RateLimitConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_are_enough() {
        let config = config(r#"{"policies": ["\"burst\";q=5;w=10"]}"#).unwrap();
        assert!(RateLimitLayer::from_config(Store::memory(), config).is_ok());
    }

    #[test]
    fn what_cannot_be_is_named_with_what_would_be_right() {
        let field = |field: &str| format!(r#"{{"policies": ["\"a\";q=1;w=1"], {field}}}"#);
        for (given, expected) in [
            (field(r#""key": "shoe_size""#), "shoe_size"),
            (
                field(r#""missing_key": "panic""#),
                "`shared`, `deny` or `skip`",
            ),
            (
                field(r#""on_store_error": "local:2""#),
                "a share from 0 to 1",
            ),
            (field(r#""headers": "draft-99""#), "`ietf`, `draft-07`"),
            (
                field(r#""denial_recheck": -1"#),
                "expected a number of seconds",
            ),
            (
                field(r#""ban": {"name": "b", "denials": 0, "within": 1, "lasting": 1}"#),
                "after 0 denials",
            ),
            (field(r#""colour": "red""#), "unknown field `colour`"),
        ] {
            let error = config(&given).unwrap_err();
            assert!(error.contains(expected), "{given}: {error}");
        }
        for (policies, expected) in [
            ("[]", "no policy"),
            (r#"["\"a\";q=1;w=1", "\"a\";q=2;w=1"]"#, "given twice"),
            (
                r#"["\"a\";q=1;w=1"], "and": [{"policies": ["\"a\";q=2;w=1"], "key": "global"}]"#,
                "given twice",
            ),
            (
                r#"["\"a\";q=1;w=1"], "and": [{"policies": [], "key": "global"}]"#,
                "no policy",
            ),
            (
                r#"["\"a\";q=1;w=1"], "ipv6_prefix": 32"#,
                "expected 48 to 128",
            ),
            (
                r#"["\"a\";q=1;w=1"], "and": [{"policies": ["\"b\";q=1;w=1"], "key": "peer_ip", "ipv6_prefix": 0}]"#,
                "expected 48 to 128",
            ),
            (r#"["\"a\";q=1;w=1"], "blocks": 0.5"#, "at most 0.1"),
            (
                r#"["\"a\";q=1;w=1"], "blocks": 0.1, "ban": {"name": "b", "denials": 1, "within": 1, "lasting": 1}"#,
                "leave out the ban or the blocks",
            ),
        ] {
            let config = config(&format!(r#"{{"policies": {policies}}}"#)).unwrap();
            let error = RateLimitLayer::from_config(Store::memory(), config).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
