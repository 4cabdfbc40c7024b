//! A policy as the list item of the `RateLimit-Policy` field: read and written.

use std::{fmt, str::FromStr, time::Duration};

use sfv::{BareItem, Item, ItemSerializer, KeyRef, Parser, StringRef, TokenRef};

use super::{QuotaPolicy, error::QuotaPolicyError, quota::Quota, unit::QuotaUnit};
use crate::store::operations::limit::Algorithm;

impl QuotaPolicy {
    /// The item as clients are told: without `alg`, which the draft does not have.
    pub(crate) fn advertised(&self) -> String {
        let name = StringRef::from_str(self.name()).expect("checked when the policy was made");
        let item = ItemSerializer::new()
            .bare_item(name)
            .parameter(key("q"), integer(self.0.quota.limit()));
        // The lease of a place is no window that a client could count in.
        let item = match self.algorithm() {
            Algorithm::Concurrency => item,
            _ => item.parameter(key("w"), integer(self.0.quota.window().as_secs())),
        };
        let item = match self.0.unit {
            QuotaUnit::Requests => item,
            unit => {
                let unit = StringRef::constant(unit.as_str());
                item.parameter(key("qu"), unit)
            }
        };
        item.finish()
    }
}

impl FromStr for QuotaPolicy {
    type Err = QuotaPolicyError;

    fn from_str(input: &str) -> Result<Self, QuotaPolicyError> {
        let malformed = |reason: String| QuotaPolicyError::Malformed {
            input: input.to_owned(),
            reason,
        };
        let wrong = |parameter: &str, expected| QuotaPolicyError::Parameter {
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
        let known = |name: &&sfv::Key| ["q", "w", "qu", "alg"].contains(&name.as_str());
        if let Some(unknown) = item.params.keys().find(|name| !known(name)) {
            return Err(wrong(
                unknown.as_str(),
                "unknown, expected q, w, qu and alg",
            ));
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
            Some(name) => {
                let name = name.as_token().map(TokenRef::as_str);
                let algorithm = name.and_then(|name| name.parse().ok());
                let expected = "expected gcra, fixed, sliding or concurrency";
                algorithm.ok_or_else(|| wrong("alg", expected))?
            }
        };
        let quota = Quota::new(limit, Duration::from_secs(window)).map_err(|error| {
            QuotaPolicyError::Quota {
                name: name.as_str().to_owned(),
                error,
            }
        })?;
        let policy = Self::new(name.as_str(), quota, algorithm)?;
        let Some(unit) = item.params.get("qu") else {
            return Ok(policy);
        };
        let unit = unit.as_string().and_then(|unit| unit.as_str().parse().ok());
        let expected = "expected requests, content-bytes or concurrent-requests, in double quotes";
        let unit: QuotaUnit = unit.ok_or_else(|| wrong("qu", expected))?;
        Ok(policy.with_unit(unit))
    }
}

/// The list item, with `alg` where it is not GCRA. [`FromStr`] reads it.
impl fmt::Display for QuotaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advertised())?;
        if self.algorithm() == Algorithm::Concurrency {
            write!(f, ";w={}", self.quota().window().as_secs())?;
        }
        match self.algorithm() {
            Algorithm::Gcra => Ok(()),
            other => write!(f, ";alg={}", other.as_str()),
        }
    }
}

/// A parameter's name.
pub(crate) fn key(name: &'static str) -> &'static KeyRef {
    KeyRef::from_str(name).expect("the names of our parameters are keys")
}

/// Quotas and the times that come of them fit; anything else is cut to the largest there is.
pub(crate) fn integer(value: u64) -> sfv::Integer {
    sfv::Integer::try_from(value).unwrap_or(sfv::Integer::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> Result<QuotaPolicy, QuotaPolicyError> {
        input.parse()
    }

    #[test]
    fn what_is_printed_reads_as_the_same_policy() {
        for item in [
            r#""burst";q=5;w=10"#,
            r#""per hour";q=1000;w=3600;alg=fixed"#,
            r#""a \"quoted\" {name}\\";q=1;w=1"#,
            r#""exact";q=10;w=1;alg=sliding"#,
            r#""slots";q=10;qu="concurrent-requests";w=30;alg=concurrency"#,
            r#""bytes";q=1000000;w=60;qu="content-bytes""#,
        ] {
            assert_eq!(parse(item).unwrap().to_string(), item);
        }
        assert_eq!(
            parse(r#""a";q=1;w=1;alg=gcra"#).unwrap().to_string(),
            r#""a";q=1;w=1"#
        );
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
                r#""burst";q=5;w=10;qu="pages""#,
                "qu: expected requests, content-bytes or concurrent-requests",
            ),
            (
                r#""burst";q=5;w=10;alg=leaky"#,
                "alg: expected gcra, fixed, sliding or concurrency",
            ),
            (
                r#""burst";q=5;w=10;pk=:Zm9v:"#,
                "pk: unknown, expected q, w, qu and alg",
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
        assert!(QuotaPolicy::gcra("naïve", quota).is_err());
        assert!(QuotaPolicy::gcra(&"a".repeat(101), quota).is_err());
    }
}
