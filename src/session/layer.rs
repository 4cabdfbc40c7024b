//! The layer and its settings.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    config::{Config, SessionOnStoreError, bound, duration},
    error::SessionConfigError,
    service::SessionService,
    transport::{
        cookie::{CookieSettings, SameSite},
        field_name,
        header::HeaderTransport,
    },
};
#[cfg(feature = "session-encryption")]
use super::{keys::SessionKeys, transport::cookie::seal::Seal};
use crate::Store;

/// Gives every request a [`Session`](super::Session) and commits it before the response begins.
///
/// | Setting | Default |
/// |---|---|
/// | cookie | `__Host-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, until the browser closes |
/// | idle timeout | 24 h, noted at most every tenth of it |
/// | absolute timeout | 7 days |
/// | renewal of the id by age | off |
/// | grace of a renewed id | 10 s |
/// | data of a session | 64 KiB, 128 keys |
/// | sessions of a user | 1000 |
/// | store failure | 503 |
/// | changes of a request that ends in a 5xx | dropped |
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct SessionLayer {
    store: Store,
    config: Arc<Config>,
}

impl SessionLayer {
    /// Sessions in `store` with the default settings.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            config: Arc::default(),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    fn cookie(
        self,
        change: impl FnOnce(CookieSettings) -> Result<CookieSettings, SessionConfigError>,
    ) -> Result<Self, SessionConfigError> {
        let cookie = change(self.config.transports.cookie.clone())?;
        Ok(self.set(|config| config.transports.cookie = cookie))
    }

    /// Names the cookie. Default `id`: the name should tell nothing (OWASP Session Management).
    /// The prefix is put in front by itself: `__Host-`, or `__Secure-` with a path or a domain.
    ///
    /// Layers with different names coexist, and do not share their sessions: in one store each knows
    /// only the ids, the users and the lists of its own, so that an id of the shop's cookie is none
    /// in the administration's. Layers with the same name, in one process or many, share theirs.
    ///
    /// # Errors
    ///
    /// When `name` is not 1 to 64 characters of a token (RFC 9110), or has a prefix.
    pub fn with_cookie_name(self, name: &str) -> Result<Self, SessionConfigError> {
        self.cookie(|cookie| cookie.with_name(name))
    }

    /// Sends the cookie for `path` and what is below it only. Default `/`.
    ///
    /// # Errors
    ///
    /// When `path` is not visible ASCII that starts with `/` and has no `;`.
    pub fn with_cookie_path(self, path: &str) -> Result<Self, SessionConfigError> {
        self.cookie(|cookie| cookie.with_path(path))
    }

    /// Shares the cookie with all hosts below `domain`. Default: only the host that sets it,
    /// which is safer.
    ///
    /// # Errors
    ///
    /// When `domain` is no host name.
    pub fn with_cookie_domain(self, domain: &str) -> Result<Self, SessionConfigError> {
        self.cookie(|cookie| cookie.with_domain(domain))
    }

    /// With which requests from other sites the cookie is sent. Default `Lax`.
    #[must_use]
    pub fn with_same_site(self, same_site: SameSite) -> Self {
        self.set(|config| {
            let cookie = config.transports.cookie.clone();
            config.transports.cookie = cookie.with_same_site(same_site);
        })
    }

    /// Gives each embedding site a cookie of its own (`Partitioned`). Default off.
    #[must_use]
    pub fn with_partitioned_cookie(self) -> Self {
        self.set(|config| {
            let cookie = config.transports.cookie.clone();
            config.transports.cookie = cookie.partitioned();
        })
    }

    /// Keeps the cookie when the browser closes, as long as the session can live (the absolute
    /// timeout) and at most 400 days. Default off.
    #[must_use]
    pub fn with_persistent_cookie(self) -> Self {
        self.set(|config| config.transports.cookie.persistent = true)
    }

    /// For development over plain HTTP only: no `Secure`, and so neither the name's prefix nor
    /// `Partitioned`, and `SameSite=None` becomes `Lax`. The id travels in clear.
    #[must_use]
    pub fn with_insecure_cookies(self) -> Self {
        self.set(|config| {
            let cookie = config.transports.cookie.clone();
            config.transports.cookie = cookie.insecure();
        })
    }

    /// Signs the cookie (HMAC-SHA-256), so that a made-up id costs no store call. Default: the id
    /// alone, which is 264 random bits and cannot be guessed.
    #[cfg(feature = "session-encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "session-encryption")))]
    #[must_use]
    pub fn with_signed_cookies(self, keys: SessionKeys) -> Self {
        self.set(|config| config.transports.cookie.seal = Some(Seal::Signed(keys)))
    }

    /// Encrypts the cookie (AES-256-GCM), so that the id is in no log of a proxy that cookies get
    /// into. Default: the id alone.
    #[cfg(feature = "session-encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "session-encryption")))]
    #[must_use]
    pub fn with_encrypted_cookies(self, keys: SessionKeys) -> Self {
        self.set(|config| config.transports.cookie.seal = Some(Seal::Encrypted(keys)))
    }

    /// Encrypts all values in the store (XChaCha20-Poly1305), each bound to its key and its session, so
    /// that it cannot be moved to another. Names of keys, the user and the device are neither encrypted
    /// nor authenticated. Each value takes 45 bytes more. What an earlier secret of the ring has
    /// encrypted is read, and encrypted anew when it is. Default off; what was stored before it is on
    /// counts as absent.
    ///
    /// A counter in such a session takes a compare-and-set as [`update`](super::Session::update)
    /// does, since the server cannot add to it.
    #[cfg(feature = "session-encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "session-encryption")))]
    #[must_use]
    pub fn with_encrypted_data(self, keys: SessionKeys) -> Self {
        self.set(|config| config.data_keys = Some(keys))
    }

    /// Also takes the id from `Authorization: Bearer`, as programs and gRPC clients send it. A
    /// request that has the field (with no token, where it has no id yet) is not looked at for a
    /// cookie, and its response hands out a new id in the field `Session-Id`, which is empty when the
    /// session was destroyed.
    #[must_use]
    pub fn and_bearer_token(self) -> Self {
        self.set(|config| config.transports.and_header(HeaderTransport::Bearer))
    }

    /// Also takes the id from the header field `name`. A request that has it (empty, where it has
    /// no id yet) is not looked at for a cookie, and its response hands out a new id in the same
    /// field, which is empty when the session was destroyed.
    ///
    /// ```
    /// # use tower_keep::{Store, session::{SessionConfigError, SessionLayer}};
    /// # fn main() -> Result<(), SessionConfigError> {
    /// let api = SessionLayer::new(Store::memory()).and_header("x-session-id")?.without_cookies();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When `name` is no field name, or `Cookie` or `Authorization`.
    pub fn and_header(self, name: &str) -> Result<Self, SessionConfigError> {
        let field = HeaderTransport::Field(field_name(name)?);
        Ok(self.set(|config| config.transports.and_header(field)))
    }

    /// Neither reads nor sets cookies where there is a header field to carry the id.
    #[must_use]
    pub fn without_cookies(self) -> Self {
        self.set(|config| config.transports.without_cookie())
    }

    /// Ends a session after this time without a request that reads or changes it, by the
    /// store's clock. Default 24 h.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_idle_timeout(self, idle: Duration) -> Result<Self, SessionConfigError> {
        const LEAST: Duration = Duration::from_millis(1);
        let idle = duration("idle timeout", idle, LEAST, "1 ms to 10 years")?;
        Ok(self.set(|config| config.idle = idle))
    }

    /// Ends a session this long after its creation or the login of its user, whatever happens.
    /// Default 7 days. A longer one applies to a user from the next login on, a shorter one at once.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_absolute_timeout(self, absolute: Duration) -> Result<Self, SessionConfigError> {
        const LEAST: Duration = Duration::from_millis(1);
        let absolute = duration("absolute timeout", absolute, LEAST, "1 ms to 10 years")?;
        Ok(self.set(|config| config.absolute = absolute))
    }

    /// Notes activity at most once in this fraction of the idle timeout, so that reads seldom
    /// write; a session may end that much before its time. Default 0.1; 0 notes every request.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 0.5.
    pub fn with_touch_fraction(self, fraction: f64) -> Result<Self, SessionConfigError> {
        if !(0.0..=0.5).contains(&fraction) {
            return Err(SessionConfigError {
                name: "touch fraction",
                value: fraction.to_string(),
                expected: "0 to 0.5 of the idle timeout",
            });
        }
        Ok(self.set(|config| config.touch_fraction = fraction))
    }

    /// Gives a session a new id once its id is this old, at the next request that reads it.
    /// Default off.
    ///
    /// # Errors
    ///
    /// When it is less than a second or more than ten years.
    pub fn with_renewal_interval(self, interval: Duration) -> Result<Self, SessionConfigError> {
        const LEAST: Duration = Duration::from_secs(1);
        let interval = duration("renewal interval", interval, LEAST, "1 s to 10 years")?;
        Ok(self.set(|config| config.renewal = Some(interval)))
    }

    /// For how long a renewed session's old id still leads to it, so that requests under way
    /// stay logged in. Default 10 s.
    ///
    /// It leads there longer as long as the new id was never used, in case the response with it
    /// was lost; and not at all when somebody else has logged in. With zero it ends as soon as the
    /// new id is used, and a request that the login of another user overtakes is one with an unknown
    /// id: what it writes goes to a new session.
    ///
    /// # Errors
    ///
    /// When it is more than an hour: an old id is what an attacker may know.
    pub fn with_renewal_grace(self, grace: Duration) -> Result<Self, SessionConfigError> {
        if grace > Duration::from_secs(3600) {
            return Err(SessionConfigError {
                name: "renewal grace",
                value: format!("{grace:?}"),
                expected: "at most 1 h",
            });
        }
        Ok(self.set(|config| config.grace = grace))
    }

    /// How many bytes the keys and values (as JSON) of a session may take. Default 64 KiB. A
    /// change over it is [`SessionError::TooLarge`](super::SessionError::TooLarge).
    ///
    /// # Errors
    ///
    /// When it is less than 1 or more than 16 MiB.
    pub fn with_max_bytes(self, max_bytes: usize) -> Result<Self, SessionConfigError> {
        let max_bytes = bound("maximum of bytes", max_bytes, 16 << 20, "1 to 16777216")?;
        Ok(self.set(|config| config.max_bytes = max_bytes))
    }

    /// How many keys a session may have. Default 128. One more is
    /// [`SessionError::TooLarge`](super::SessionError::TooLarge).
    ///
    /// # Errors
    ///
    /// When it is less than 1 or more than 1024.
    pub fn with_max_keys(self, max_keys: usize) -> Result<Self, SessionConfigError> {
        let max_keys = bound("maximum of keys", max_keys, 1024, "1 to 1024")?;
        Ok(self.set(|config| config.max_keys = max_keys))
    }

    /// How many sessions a user may have at once. Default no cap. A login beyond it ends the oldest
    /// of them (by their last login), at once and in every process; parallel logins leave exactly
    /// so many. Without a cap the oldest end beyond 1000.
    ///
    /// A login at the cap takes four to eight round trips more than one below it.
    ///
    /// # Errors
    ///
    /// When it is less than 1 or more than 1000.
    pub fn with_max_sessions_per_user(self, max: usize) -> Result<Self, SessionConfigError> {
        const MOST: usize = super::user_sessions::MOST;
        let max = bound("maximum of sessions per user", max, MOST, "1 to 1000")?;
        Ok(self.set(|config| config.max_sessions_per_user = Some(max)))
    }

    /// What a request gets when the store fails to load its session. Default 503.
    #[must_use]
    pub fn with_on_store_error(self, failure: SessionOnStoreError) -> Self {
        self.set(|config| config.on_store_error = failure)
    }

    /// Whether a request that ends in a 5xx commits what it has changed. Default no.
    #[must_use]
    pub fn with_commit_on_server_error(self, commit: bool) -> Self {
        self.set(|config| config.commit_on_server_error = commit)
    }

    /// The cookie's name with its prefix.
    pub fn cookie_name(&self) -> &str {
        self.config.transports.cookie.name()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.store.clone(), self.config.clone())
    }
}
