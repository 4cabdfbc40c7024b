//! The first part of an application's keys.

/// The first parts of the names of the crate's own data.
const RESERVED: [&str; 6] = [
    "cache",
    "lease",
    "rate_limit",
    "refresh_token",
    "session",
    "tag",
];
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
        "key prefix {0:?} is reserved: expected another first part than cache, lease, \
         rate_limit, refresh_token, session and tag, as in \"user\""
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
    if RESERVED.contains(&first) {
        return Err(PrefixError::Reserved(prefix.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_the_crates_own_data_is_refused_by_name() {
        for reserved in RESERVED {
            for prefix in [reserved.to_owned(), format!("{reserved}:mine")] {
                let error = check(&prefix).unwrap_err();
                assert_eq!(error, PrefixError::Reserved(prefix.clone()));
                assert!(error.to_string().contains(&prefix), "{error}");
                assert!(
                    RESERVED.iter().all(|name| error.to_string().contains(name)),
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
