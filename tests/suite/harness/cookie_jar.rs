//! Cookies by name, as a browser keeps them for one site.

use std::collections::BTreeMap;

use cookie::Cookie;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// The cookies of one client. Path, domain and `Secure` are not looked at, only names, values and removal.
#[derive(Debug, Default)]
pub(crate) struct CookieJar(BTreeMap<String, String>);

impl CookieJar {
    /// Takes over the `Set-Cookie` lines of a response; `Max-Age=0` removes.
    pub(crate) fn take(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().expect("Set-Cookie is ASCII");
            let cookie =
                Cookie::parse(line).unwrap_or_else(|error| panic!("{error} in Set-Cookie: {line}"));
            let (name, value) = cookie.name_value();
            if cookie.max_age().is_some_and(|age| age.is_zero()) {
                self.0.remove(name);
            } else {
                self.set(name, value);
            }
        }
    }

    /// A cookie's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts a cookie in by hand, as an attacker would.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The `Cookie` header to send, if there is anything to send.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let line = (!pairs.is_empty()).then(|| pairs.join("; "))?;
        Some(HeaderValue::from_str(&line).expect("a test's cookies are visible ASCII"))
    }
}
