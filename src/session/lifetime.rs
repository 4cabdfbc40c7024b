//! Timeouts of one session.

use std::time::Duration;

use super::{config::checked_duration, error::SessionConfigError};
use crate::store::operations::session::Lifetime;

/// Timeouts of one session in place of its layer's, for instance of a login with "remember me".
///
/// ```
/// use std::time::Duration;
/// use tower_keep::session::{Session, SessionError, SessionLifetime};
///
/// async fn log_in(session: Session, remember_me: bool) -> Result<(), SessionError> {
///     const DAY: Duration = Duration::from_secs(24 * 3600);
///     // … after the password was checked:
///     session.login("ada")?;
///     if remember_me {
///         let month = SessionLifetime::new(30 * DAY, 90 * DAY)?;
///         session.set_lifetime(month.with_persistent_cookie())?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLifetime {
    idle: Duration,
    absolute: Duration,
    persistent: bool,
}

/// As long as browsers keep a cookie (RFC 6265bis, section 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);

impl SessionLifetime {
    /// Ends a session after `idle` without a request that reads or changes it, and `absolute` after
    /// its creation or the login of its user, whatever happens. Its cookie goes when the browser
    /// closes.
    ///
    /// # Errors
    ///
    /// When either is less than a millisecond or more than 400 days.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, SessionConfigError> {
        let checked = |name, value| {
            const LEAST: Duration = Duration::from_millis(1);
            checked_duration(name, value, LEAST..=LONGEST, "1 ms to 400 days")
        };
        Ok(Self {
            idle: checked("idle timeout", idle)?,
            absolute: checked("absolute timeout", absolute)?,
            persistent: false,
        })
    }

    /// The browser keeps the cookie when it closes, as long as the session can live (`Max-Age`).
    #[must_use]
    pub fn with_persistent_cookie(self) -> Self {
        let persistent = true;
        Self { persistent, ..self }
    }
}

impl From<SessionLifetime> for Lifetime {
    fn from(own: SessionLifetime) -> Self {
        Self::Own {
            idle: own.idle,
            absolute: own.absolute,
            persistent: own.persistent,
        }
    }
}
