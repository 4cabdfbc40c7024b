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

/// Characters of a signature in base64. It stands before what it signs.
const SIGNATURE: usize = 44;
/// The longest value that is looked at: an id, what protects it, and base64.
const LONGEST: usize = 256;

impl Seal {
    /// The cookie's value for an id. The name is authenticated, too.
    pub(super) fn write(&self, name: &str, id: &SessionId) -> String {
        let mut jar = CookieJar::new();
        match self {
            Self::Signed(keys) => jar.signed_mut(keys.current()).add(named(name, id.expose())),
            Self::Encrypted(keys) => {
                let cookie = Cookie::new(name.to_owned(), id.expose().to_owned());
                jar.private_mut(keys.current()).add(cookie);
            }
        }
        let value = jar.get(name).map_or("", Cookie::value);
        match self {
            Self::Signed(_) => [value.get(..SIGNATURE).unwrap_or(""), id.expose()].concat(),
            Self::Encrypted(_) => value.to_owned(),
        }
    }

    /// The id in a cookie's value, by whichever key of the ring it was protected.
    pub(super) fn read(&self, name: &str, value: &[u8]) -> Option<SessionId> {
        let value = std::str::from_utf8(value).ok()?;
        if value.len() > LONGEST {
            return None;
        }
        let jar = CookieJar::new();
        match self {
            Self::Signed(keys) => {
                let (signature, id) = value.split_at_checked(SIGNATURE)?;
                let mut cookie = named(name, id);
                cookie.set_value([signature, cookie.value()].concat());
                keys.all()
                    .find_map(|key| jar.signed(key).verify(cookie.clone()))?;
                SessionId::parse(id.as_bytes())
            }
            Self::Encrypted(keys) => {
                let cookie = || Cookie::new(name.to_owned(), value.to_owned());
                let opened = keys
                    .all()
                    .find_map(|key| jar.private(key).decrypt(cookie()))?;
                SessionId::parse(opened.value().as_bytes())
            }
        }
    }
}

/// What is signed: the `cookie` crate signs a value without its name, and a cookie of another name
/// is another cookie.
fn named<'a>(name: &str, id: &str) -> Cookie<'a> {
    Cookie::new(name.to_owned(), format!("{name}={id}"))
}
