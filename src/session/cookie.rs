//! The session's cookie: its name and attributes, reading it and writing it.

use std::{str::FromStr, time::Duration};

use cookie::Cookie;
use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{config::SessionConfigError, id::SessionId};

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

/// The cookie as it is set. What browsers would refuse cannot be said: the name's prefix
/// follows from the other attributes, and so do they from [`insecure`](Self::insecure).
#[derive(Debug, Clone)]
pub(super) struct CookieSettings {
    /// With its prefix.
    name: String,
    base_name: String,
    path: String,
    domain: Option<String>,
    same_site: SameSite,
    partitioned: bool,
    secure: bool,
    pub(super) persistent: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        let settings = Self {
            name: String::new(),
            base_name: "id".to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            partitioned: false,
            secure: true,
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

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn base_name(&self) -> &str {
        &self.base_name
    }

    pub(super) fn with_name(mut self, name: &str) -> Result<Self, SessionConfigError> {
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

    pub(super) fn with_path(mut self, path: &str) -> Result<Self, SessionConfigError> {
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

    pub(super) fn with_domain(mut self, domain: &str) -> Result<Self, SessionConfigError> {
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

    pub(super) fn with_same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    pub(super) fn partitioned(self) -> Self {
        let partitioned = true;
        Self {
            partitioned,
            ..self
        }
    }

    pub(super) fn insecure(self) -> Self {
        let secure = false;
        Self { secure, ..self }.prefixed()
    }

    /// The id in the request's cookies. Several cookies of the name (one of them planted, say),
    /// or a value that is no id, count as none.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<SessionId> {
        // By bytes, as a neighbour's value need not be ASCII, and over all lines: HTTP/2
        // splits the field (RFC 9113, section 8.2.3).
        let mut values = (headers.get_all(COOKIE).iter())
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b';'))
            .filter_map(|pair| {
                let rest = pair.trim_ascii().strip_prefix(self.name.as_bytes())?;
                rest.strip_prefix(b"=")
            });
        match (values.next(), values.next()) {
            (Some(value), None) => SessionId::parse(value),
            _ => None,
        }
    }

    /// The `Set-Cookie` line for a session that lives for at most `remaining` more.
    pub(super) fn issue(&self, id: &SessionId, remaining: Duration) -> HeaderValue {
        let lifetime = self.persistent.then(|| remaining.min(MAX_AGE));
        self.line(id.expose(), lifetime)
    }

    /// The `Set-Cookie` line that takes the cookie back.
    pub(super) fn remove(&self) -> HeaderValue {
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
mod tests {
    use super::*;

    fn read(settings: &CookieSettings, lines: &[&[u8]]) -> Option<SessionId> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        settings.read(&headers)
    }

    fn line(settings: &CookieSettings) -> String {
        let id = SessionId::parse(&[b'a'; 48]).unwrap();
        let line = settings.issue(&id, Duration::from_secs(60));
        assert!(!format!("{line:?}").contains("aaa"), "an id in Debug");
        line.to_str().unwrap().replace(id.expose(), "ID")
    }

    #[test]
    fn the_default_is_a_host_cookie_for_the_browser_session() {
        let settings = CookieSettings::default();
        assert_eq!(
            line(&settings),
            "__Host-id=ID; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            settings.remove(),
            "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn a_path_or_domain_of_its_own_changes_the_prefix_and_removal_names_them_too() {
        let settings = CookieSettings::default()
            .with_domain("example.com")
            .unwrap();
        let settings = settings
            .with_path("/app")
            .unwrap()
            .with_name("sid")
            .unwrap();
        assert_eq!(
            line(&settings.clone().partitioned()),
            "__Secure-sid=ID; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/app; Domain=example.com"
        );
        assert_eq!(
            settings.remove(),
            "__Secure-sid=; HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com; Max-Age=0"
        );
    }

    #[test]
    fn development_mode_drops_what_needs_secure() {
        let settings = CookieSettings::default()
            .with_same_site(SameSite::None)
            .partitioned()
            .insecure();
        assert_eq!(line(&settings), "id=ID; HttpOnly; SameSite=Lax; Path=/");
    }

    #[test]
    fn a_persistent_cookie_lives_as_long_as_the_session_and_at_most_400_days() {
        let mut settings = CookieSettings::default();
        settings.persistent = true;
        assert!(line(&settings).ends_with("; Max-Age=60"));
        let id = SessionId::parse(&[b'a'; 48]).unwrap();
        let line = settings.issue(&id, MAX_AGE * 2);
        assert!(line.to_str().unwrap().ends_with("; Max-Age=34560000"));
    }

    #[test]
    fn the_id_is_found_among_other_cookies_on_any_line() {
        let settings = CookieSettings::default();
        let id = "a".repeat(48);
        let cookie = format!("__Host-id={id}");
        let both = format!("other=1;{cookie} ; __Host-idx=2; bare");
        for lines in [
            &[cookie.as_bytes()][..],
            &[both.as_bytes()],
            &[b"a=\xff\xfe", cookie.as_bytes()],
        ] {
            assert_eq!(read(&settings, lines).unwrap().expose(), id);
        }
    }

    #[test]
    fn a_missing_malformed_or_repeated_cookie_is_none() {
        let settings = CookieSettings::default();
        let cookie = format!("__Host-id={}", "a".repeat(48));
        let twice = format!("{cookie}; {cookie}");
        let quoted = format!("__Host-id=\"{}\"", "a".repeat(48));
        let huge = format!("__Host-id={}", "a".repeat(60_000));
        for lines in [
            &[][..],
            &[b"__Host-id" as &[u8]],
            &[b"__Host-id="],
            &[b"id=x"],
            &[twice.as_bytes()],
            &[cookie.as_bytes(), cookie.as_bytes()],
            &[cookie.as_bytes(), b"__Host-id="],
            &[quoted.as_bytes()],
            &[huge.as_bytes()],
        ] {
            assert_eq!(read(&settings, lines), None, "{lines:.60?}");
        }
    }

    #[test]
    fn a_setting_that_browsers_refuse_is_named() {
        let settings = CookieSettings::default();
        for name in [
            "",
            "a b",
            "a=b",
            "a;b",
            "é",
            "__Host-id",
            "__Secure-id",
            &"x".repeat(65),
        ] {
            let error = settings.clone().with_name(name).expect_err(name);
            assert!(error.to_string().contains("cookie name"), "{error}");
        }
        for path in ["", "app", "/a;b", "/a b", "/é"] {
            let error = settings.clone().with_path(path).expect_err(path);
            assert!(error.to_string().contains("cookie path"), "{error}");
        }
        for domain in ["", ".example.com", "a b", "example..com", "-a.com", "a;b"] {
            let error = settings.clone().with_domain(domain).expect_err(domain);
            assert!(error.to_string().contains("cookie domain"), "{error}");
        }
    }
}
