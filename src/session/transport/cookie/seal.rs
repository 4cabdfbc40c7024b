//! Signed and encrypted cookies, by the primitives of the `cookie` crate.

use cookie::{Cookie, CookieJar};

use super::super::super::{id::SessionId, keys::SessionKeys};

/// How the id in the cookie is protected.
#[derive(Debug, Clone)]
pub(in crate::session) enum Seal {
    /// HMAC-SHA-256: an id that was not issued is refused before the store is asked.
    Signed(SessionKeys),
    /// AES-256-GCM: what is in the cookie cannot be read in logs of proxies.
    Encrypted(SessionKeys),
}

/// The longest value that is looked at: an id, what protects it, and base64.
const LONGEST: usize = 256;

impl Seal {
    /// The cookie's value for an id. The name is authenticated, too.
    pub(super) fn write(&self, name: &str, id: &SessionId) -> String {
        let mut jar = CookieJar::new();
        let cookie = Cookie::new(name.to_owned(), id.expose().to_owned());
        match self {
            Self::Signed(keys) => jar.signed_mut(keys.current()).add(cookie),
            Self::Encrypted(keys) => jar.private_mut(keys.current()).add(cookie),
        }
        jar.get(name)
            .map_or_else(String::new, |c| c.value().to_owned())
    }

    /// The id in a cookie's value, by whichever key of the ring it was protected.
    pub(super) fn read(&self, name: &str, value: &[u8]) -> Option<SessionId> {
        let value = std::str::from_utf8(value).ok()?;
        if value.len() > LONGEST {
            return None;
        }
        let jar = CookieJar::new();
        let cookie = || Cookie::new(name.to_owned(), value.to_owned());
        let (Self::Signed(keys) | Self::Encrypted(keys)) = self;
        let opened = keys.all().find_map(|key| match self {
            Self::Signed(_) => jar.signed(key).verify(cookie()),
            Self::Encrypted(_) => jar.private(key).decrypt(cookie()),
        })?;
        SessionId::parse(opened.value().as_bytes())
    }
}
