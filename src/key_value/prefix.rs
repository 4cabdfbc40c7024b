//! The first part of an application's keys.

use crate::store::operations::RESERVED_NAMES;

/// The first parts of the names of the crate's own data.
fn reserved() -> impl Iterator<Item = &'static str> {
    let names = RESERVED_NAMES.iter().copied().flatten().copied();
    names.chain(["refresh_token"])
}

/// The longest prefix.
const LONGEST: usize = 64;

/// A prefix that keys of the key-value service cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// It would not keep kinds of values apart, or would widen a scan.
    #[error(
        "key prefix {0:?}: expected 1 to 64 of the characters a-z A-Z 0-9 . _ - and : inside, \
         as in \"user\""
    )]
    Invalid(String),
    /// It is that of the sessions, say.
    #[error(
        "key prefix {0:?} is reserved: expected another first part than {list}, as in \"user\"",
        list = reserved().collect::<Vec<_>>().join(", ")
    )]
    Reserved(String),
}

pub(super) fn check(prefix: &str) -> Result<(), PrefixError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    let valid = (1..=LONGEST).contains(&prefix.len())
        && prefix.chars().all(allowed)
        && !prefix.starts_with(':')
        && !prefix.ends_with(':');
    if !valid {
        return Err(PrefixError::Invalid(prefix.chars().take(80).collect()));
    }
    let first = prefix.split(':').next().unwrap_or_default();
    if reserved().any(|name| name == first) {
        return Err(PrefixError::Reserved(prefix.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_the_crates_own_data_is_refused_by_name() {
        for reserved in reserved() {
            for prefix in [reserved.to_owned(), format!("{reserved}:mine")] {
                let error = check(&prefix).unwrap_err();
                assert_eq!(error, PrefixError::Reserved(prefix.clone()));
                assert!(error.to_string().contains(&prefix), "{error}");
                assert!(
                    self::reserved().all(|name| error.to_string().contains(name)),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_prefix_that_is_no_key_part_is_refused_by_name() {
        for prefix in [
            "",
            ":",
            "user:",
            ":user",
            "a b",
            "a*",
            "a{b}",
            "é",
            &"x".repeat(65),
        ] {
            let error = check(prefix).unwrap_err();
            assert!(matches!(error, PrefixError::Invalid(_)), "{prefix}");
            assert!(error.to_string().contains("key prefix"), "{error}");
        }
        for prefix in [
            "user",
            "list:events",
            "sessions",
            "my-app.v2",
            &"x".repeat(64),
        ] {
            assert_eq!(check(prefix), Ok(()), "{prefix}");
        }
    }
}
