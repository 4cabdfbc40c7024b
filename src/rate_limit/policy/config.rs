//! Policies and quotas in configuration files.

use std::time::Duration;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, value::MapAccessDeserializer},
};

use super::{Quota, QuotaPolicy, QuotaUnit};
use crate::store::operations::limit::Algorithm;

/// A policy as a table of its parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    q: u64,
    w: u64,
    #[serde(default)]
    alg: Algorithm,
    qu: Option<QuotaUnit>,
}

/// From the list item of the `RateLimit-Policy` field, `"burst";q=5;w=10;alg=sliding`, or from a
/// table of `name`, `q`, `w` and, if they are not the default, `alg` and `qu`.
impl<'de> Deserialize<'de> for QuotaPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = QuotaPolicy;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a policy such as \"burst\";q=5;w=10, or a table of name, q and w")
            }

            fn visit_str<E: Error>(self, item: &str) -> Result<QuotaPolicy, E> {
                item.parse().map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<QuotaPolicy, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let quota = Quota::new(table.q, Duration::from_secs(table.w));
                let quota = quota.map_err(A::Error::custom)?;
                let policy = QuotaPolicy::new(&table.name, quota, table.alg);
                let policy = policy.map_err(A::Error::custom)?;
                Ok(match table.qu {
                    Some(unit) => policy.with_unit(unit),
                    None => policy,
                })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// The list item.
impl Serialize for QuotaPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From a table of `limit` and `window`, in seconds.
impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            limit: u64,
            window: u64,
        }
        let Table { limit, window } = Table::deserialize(deserializer)?;
        Self::new(limit, Duration::from_secs(window)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<QuotaPolicy, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_reads_as_an_item_and_as_a_table() {
        let item = policy(r#""\"burst\";q=5;w=10;alg=sliding""#).unwrap();
        let table = policy(r#"{"name": "burst", "q": 5, "w": 10, "alg": "sliding"}"#).unwrap();
        assert_eq!(item, table);
        let json = serde_json::to_string(&item).unwrap();
        assert_eq!(policy(&json).unwrap(), item);
    }

    #[test]
    fn an_error_says_what_would_be_right() {
        let cases = [
            (r#""burst""#, "expected a list item such as"),
            (
                r#"{"name": "burst", "q": 0, "w": 10}"#,
                "a quota of 0 units",
            ),
            (
                r#"{"name": "burst", "q": 1, "w": 10, "alg": "leaky"}"#,
                "expected `gcra`, `fixed`, `sliding` or `concurrency`",
            ),
            (
                r#"{"name": "burst", "q": 1, "w": 10, "x": 1}"#,
                "unknown field `x`",
            ),
            ("7", "a policy such as"),
        ];
        for (json, expected) in cases {
            let error = policy(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
