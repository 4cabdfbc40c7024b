//! The session's cookie: its name and attributes, reading it and writing it.

#[cfg(feature = "session-encryption")]
pub(in crate::session) mod seal;

use std::{str::FromStr, time::Duration};

use cookie::Cookie;
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use super::super::{error::SessionConfigError, id::SessionId};

/// The cookie's name without its prefix, where the layer says no other.
const DEFAULT_NAME: &str = "id";

/// The longest that browsers keep a cookie (RFC 6265bis, section 5.5).
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 3600);

/// With which requests from other sites a browser sends the cookie (RFC 6265bis, section 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// With none of them, not even when a link is followed.
    Strict,
    /// When a link is followed, but with no form, script or frame. The default.
    #[default]
    Lax,
    /// With all of them: for pages embedded in other sites. Protect forms against CSRF.
    None,
}

/// The cookie's name and attributes. Combinations that browsers refuse cannot be built: the name's
/// prefix follows from the attributes, and [`insecure`](Self::insecure) turns off those that need
/// `Secure`.
#[derive(Debug, Clone)]
pub(in crate::session) struct CookieSettings {
    /// With its prefix.
    name: String,
    base_name: String,
    path: String,
    domain: Option<String>,
    same_site: SameSite,
    partitioned: bool,
    secure: bool,
    #[cfg(feature = "session-encryption")]
    pub(in crate::session) seal: Option<seal::Seal>,
    pub(in crate::session) persistent: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        let settings = Self {
            name: String::new(),
            base_name: DEFAULT_NAME.to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            partitioned: false,
            secure: true,
            #[cfg(feature = "session-encryption")]
            seal: None,
            persistent: false,
        };
        settings.prefixed()
    }
}

impl CookieSettings {
    /// `__Host-` where a browser accepts it (secure, all of one host), else `__Secure-`, and
    /// nothing without `Secure` (RFC 6265bis, section 4.1.3).
    fn prefixed(mut self) -> Self {
        let prefix = match (self.secure, &*self.path, &self.domain) {
            (true, "/", None) => "__Host-",
            (true, _, _) => "__Secure-",
            (false, _, _) => "",
        };
        self.name = format!("{prefix}{}", self.base_name);
        self
    }

    pub(in crate::session) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::session) fn base_name(&self) -> &str {
        &self.base_name
    }

    /// What keeps the sessions of layers with different cookies apart in the store: nothing for the
    /// default, which most applications have alone.
    pub(in crate::session) fn name_in_keys(&self) -> &str {
        match &*self.base_name {
            DEFAULT_NAME => "",
            name => name,
        }
    }

    pub(in crate::session) fn with_name(mut self, name: &str) -> Result<Self, SessionConfigError> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let prefixed = name.get(..2) == Some("__");
        if name.is_empty() || name.len() > 64 || prefixed || !name.chars().all(token) {
            return Err(SessionConfigError {
                name: "cookie name",
                value: format!("{name:?}"),
                expected: "1 to 64 characters of a token (RFC 9110) without a prefix: \
                           `__Host-` or `__Secure-` is put in front by itself",
            });
        }
        self.base_name = name.to_owned();
        Ok(self.prefixed())
    }

    pub(in crate::session) fn with_path(mut self, path: &str) -> Result<Self, SessionConfigError> {
        let valid =
            path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b';');
        if !valid {
            return Err(SessionConfigError {
                name: "cookie path",
                value: format!("{path:?}"),
                expected: "visible ASCII that starts with `/` and has no `;`",
            });
        }
        self.path = path.to_owned();
        Ok(self.prefixed())
    }

    pub(in crate::session) fn with_domain(
        mut self,
        domain: &str,
    ) -> Result<Self, SessionConfigError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if domain.len() > 253 || !domain.split('.').all(label) {
            return Err(SessionConfigError {
                name: "cookie domain",
                value: format!("{domain:?}"),
                expected: "a host name such as `example.com`, without a dot in front",
            });
        }
        self.domain = Some(domain.to_owned());
        Ok(self.prefixed())
    }

    pub(in crate::session) fn with_same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    pub(in crate::session) fn partitioned(self) -> Self {
        let partitioned = true;
        Self {
            partitioned,
            ..self
        }
    }

    pub(in crate::session) fn insecure(self) -> Self {
        let secure = false;
        Self { secure, ..self }.prefixed()
    }

    /// The id in the request's cookies; `None` when there are several cookies of this name, one of
    /// which may have been planted, and when the value is no id.
    pub(in crate::session) fn read(&self, headers: &HeaderMap) -> Option<Option<SessionId>> {
        // As bytes, because other cookies need not be ASCII; over all lines, because HTTP/2 splits
        // the field (RFC 9113, section 8.2.3).
        let mut found = None;
        for line in headers.get_all(COOKIE) {
            for pair in line.as_bytes().split(|&byte| byte == b';') {
                let rest = pair.trim_ascii().strip_prefix(self.name.as_bytes());
                let Some(value) = rest.and_then(|rest| rest.strip_prefix(b"=")) else {
                    continue;
                };
                if found.replace(value).is_some() {
                    return Some(None);
                }
            }
        }
        #[cfg(feature = "session-encryption")]
        if let Some(seal) = &self.seal {
            return Some(seal.read(&self.name, found?));
        }
        Some(SessionId::parse(found?))
    }

    /// The `Set-Cookie` line for a session that lives for at most `remaining` more. The cookie is
    /// kept when the browser closes if it is `persistent`, which the session may say otherwise.
    pub(in crate::session) fn issue(
        &self,
        id: &SessionId,
        remaining: Duration,
        persistent: Option<bool>,
    ) -> HeaderValue {
        let lifetime = (persistent.unwrap_or(self.persistent)).then(|| remaining.min(MAX_AGE));
        #[cfg(feature = "session-encryption")]
        if let Some(seal) = &self.seal {
            return self.line(&seal.write(&self.name, id), lifetime);
        }
        self.line(id.expose(), lifetime)
    }

    pub(in crate::session) fn append(&self, headers: &mut HeaderMap, line: HeaderValue) {
        headers.append(SET_COOKIE, line);
    }

    /// The `Set-Cookie` line that takes the cookie back.
    pub(in crate::session) fn remove(&self) -> HeaderValue {
        self.line("", Some(Duration::ZERO))
    }

    fn line(&self, value: &str, max_age: Option<Duration>) -> HeaderValue {
        // A browser refuses the two without `Secure`.
        let same_site = match self.same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::None if self.secure => cookie::SameSite::None,
            SameSite::Lax | SameSite::None => cookie::SameSite::Lax,
        };
        let mut cookie = Cookie::build((&*self.name, value))
            .path(&*self.path)
            .http_only(true)
            .same_site(same_site)
            .build();
        if self.secure {
            cookie.set_secure(true);
            cookie.set_partitioned(self.partitioned);
        }
        if let Some(domain) = &self.domain {
            cookie.set_domain(&**domain);
        }
        if let Some(max_age) = max_age {
            let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds));
        }
        let mut line = HeaderValue::from_str(&cookie.to_string())
            .expect("the name, the attributes and an id are visible ASCII");
        line.set_sensitive(true);
        line
    }
}

impl FromStr for SameSite {
    type Err = SessionConfigError;

    fn from_str(value: &str) -> Result<Self, SessionConfigError> {
        match value.to_ascii_lowercase().as_str() {
            "strict" => Ok(Self::Strict),
            "lax" => Ok(Self::Lax),
            "none" => Ok(Self::None),
            _ => Err(SessionConfigError {
                name: "cookie SameSite",
                value: format!("{value:?}"),
                expected: "`strict`, `lax` or `none`",
            }),
        }
    }
}

#[cfg(test)]
mod tests;
