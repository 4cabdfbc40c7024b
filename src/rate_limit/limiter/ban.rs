//! Bans: a subject that is denied too often is denied everything for a while.

use std::time::Duration;

use crate::{
    rate_limit::policy::{QuotaPolicyError, key_name},
    store::operations::limit::{Ban, NamedBan},
};

/// Denies everything to a subject that has been denied too often.
///
/// Denials are counted in the store, by the script that checks the limits, so that all processes
/// count and ban together. A ban is told as `abnormal-usage-detected`, its end as `Retry-After`,
/// unless a policy denies for longer.
/// Each further one lasts twice as long as the one before, up to the [longest](Self::with_longest);
/// a subject that is not denied for that long after a ban starts anew.
///
/// Until a subject is banned each of its denials asks the store, to be counted; from then on a
/// process answers by itself.
///
/// ```
/// use std::time::Duration;
/// use tower_keep::rate_limit::BanPolicy;
///
/// // 100 denials within a minute: out for 10 minutes, then 20, 40, … up to a day.
/// let ban = BanPolicy::new("abuse", 100, Duration::from_secs(60), Duration::from_secs(600))?
///     .with_longest(Duration::from_secs(86_400))?;
/// # Ok::<(), tower_keep::rate_limit::BanError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanPolicy {
    name: Box<str>,
    ban: Ban,
}

/// Why a ban cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BanError {
    /// The name is none that a policy could have.
    #[error(transparent)]
    Name(#[from] QuotaPolicyError),
    /// No number of denials.
    #[error("ban {0:?} after 0 denials: expected at least 1")]
    Denials(String),
    /// A time that is no time, or longer than a year.
    #[error("ban {name:?}: {what} of {given:?}: expected 1 ms to 366 days")]
    Time {
        /// The ban's name.
        name: String,
        /// Which time.
        what: &'static str,
        /// What was given.
        given: Duration,
    },
}

impl BanPolicy {
    /// The `denials`-th denial `within` that time brings a ban `lasting` so long, or up to a day
    /// when it is repeated.
    ///
    /// # Errors
    ///
    /// When the name is no structured-field String of 1 to 100 characters, `denials` is 0, or a
    /// time is shorter than a millisecond or longer than 366 days.
    pub fn new(
        name: &str,
        denials: u64,
        within: Duration,
        lasting: Duration,
    ) -> Result<Self, BanError> {
        const DAY: Duration = Duration::from_secs(86_400);
        QuotaPolicyError::check_name(name)?;
        if denials == 0 {
            return Err(BanError::Denials(name.to_owned()));
        }
        let first = micros(name, "a ban", lasting)?;
        Ok(Self {
            name: name.into(),
            ban: Ban {
                denials,
                window: micros(name, "a window", within)?,
                first,
                longest: first.max(DAY.as_micros() as u64),
            },
        })
    }

    /// Lets no ban last longer than this, and no shorter than the first.
    ///
    /// # Errors
    ///
    /// When `longest` is shorter than a millisecond or longer than 366 days.
    pub fn with_longest(self, longest: Duration) -> Result<Self, BanError> {
        let longest = micros(&self.name, "a longest ban", longest)?;
        let ban = Ban {
            longest: longest.max(self.ban.first),
            ..self.ban
        };
        Ok(Self { ban, ..self })
    }

    /// The name that clients see among the violated policies.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn named(&self) -> NamedBan {
        NamedBan::new(&key_name(&self.name), self.ban)
    }
}

fn micros(name: &str, what: &'static str, given: Duration) -> Result<u64, BanError> {
    let allowed = Duration::from_millis(1)..=Duration::from_secs(366 * 86_400);
    match allowed.contains(&given) {
        true => Ok(given.as_micros() as u64),
        false => Err(BanError::Time {
            name: name.to_owned(),
            what,
            given,
        }),
    }
}
