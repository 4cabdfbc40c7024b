//! The key ring of signed and encrypted cookies and of encrypted data.

use std::{fmt, sync::Arc};

use chacha20poly1305::{AeadInPlace, KeyInit, XChaCha20Poly1305, XNonce};
use cookie::Key;
use sha2::{Digest, Sha256};

use super::error::{SessionConfigError, SessionError};
use crate::store::random;

/// Secrets that protect cookies or stored data: the first one writes, and all of them read.
///
/// To change the secret, put the new one in front and keep the old one until what it has written
/// has ended: the cookies and sessions of the absolute timeout.
///
/// ```
/// use tower_keep::{Store, session::{SessionKeys, SessionLayer}};
///
/// # fn main() -> Result<(), tower_keep::session::SessionConfigError> {
/// # let (secret, last_years) = ([1; 32], [2; 32]);
/// let keys = SessionKeys::new(&secret)?.and_previous(&last_years)?;
/// let layer = SessionLayer::new(Store::memory())
///     .with_signed_cookies(keys.clone())
///     .with_encrypted_data(keys);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SessionKeys(Arc<[One]>);

#[derive(Clone)]
struct One {
    cookie: Key,
    data: XChaCha20Poly1305,
    /// Public: which key has encrypted a value.
    id: [u8; ID],
}

/// Bytes of a key's id.
const ID: usize = 4;
const NONCE: usize = 24;
/// The format of an encrypted value. No JSON begins with it.
const FORMAT: u8 = 1;

impl SessionKeys {
    /// A ring of one secret: at least 32 random bytes, not a password.
    ///
    /// # Errors
    ///
    /// When `secret` has less than 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, SessionConfigError> {
        Ok(Self(Arc::new([One::new(secret)?])))
    }

    /// Also reads what an earlier secret has written.
    ///
    /// # Errors
    ///
    /// When `secret` has less than 32 bytes.
    pub fn and_previous(self, secret: &[u8]) -> Result<Self, SessionConfigError> {
        let one = One::new(secret)?;
        Ok(Self(self.0.iter().cloned().chain([one]).collect()))
    }

    pub(super) fn current(&self) -> &Key {
        &self.0[0].cookie
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|one| &one.cookie)
    }

    /// Bytes that an encrypted value takes more than its text.
    pub(super) const OVERHEAD: usize = 1 + ID + NONCE + 16;

    /// Encrypts a value, and binds it to where it is stored. XChaCha20-Poly1305: its nonces may be
    /// random however many values there are.
    pub(super) fn seal(&self, binding: &[u8], value: &[u8]) -> Result<Vec<u8>, SessionError> {
        let one = &self.0[0];
        let nonce: [u8; NONCE] = random::secret()?;
        let mut sealed = Vec::with_capacity(Self::OVERHEAD + value.len());
        sealed.push(FORMAT);
        sealed.extend(one.id);
        sealed.extend(nonce);
        let mut text = value.to_vec();
        (one.data)
            .encrypt_in_place(XNonce::from_slice(&nonce), binding, &mut text)
            .map_err(|_| SessionError::NoEntropy)?;
        sealed.extend(text);
        Ok(sealed)
    }

    /// Decrypts a value, and says whether the current key has encrypted it. `None` for what no key of
    /// the ring has, and for what is bound to another place.
    pub(super) fn open(&self, binding: &[u8], sealed: &[u8]) -> Option<(Vec<u8>, bool)> {
        let (head, text) = sealed.split_at_checked(1 + ID + NONCE)?;
        let (format, head) = head.split_first()?;
        let (id, nonce) = head.split_at(ID);
        let number = self.0.iter().position(|one| one.id == id)?;
        let mut text = text.to_vec();
        (*format == FORMAT).then_some(())?;
        (self.0[number].data)
            .decrypt_in_place(XNonce::from_slice(nonce), binding, &mut text)
            .ok()?;
        Some((text, number == 0))
    }
}

impl One {
    fn new(secret: &[u8]) -> Result<Self, SessionConfigError> {
        if secret.len() < 32 {
            return Err(SessionConfigError {
                name: "secret",
                value: format!("{} bytes", secret.len()),
                expected: "at least 32 random bytes",
            });
        }
        let derive = |purpose: &str| {
            let digest = Sha256::new().chain_update(purpose).chain_update(secret);
            <[u8; 32]>::from(digest.finalize())
        };
        let mut id = [0; ID];
        id.copy_from_slice(&derive("tower-keep session key id")[..ID]);
        Ok(Self {
            cookie: Key::derive_from(secret),
            data: XChaCha20Poly1305::new(&derive("tower-keep session data").into()),
            id,
        })
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys")
            .field("secrets", &self.0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_in_its_place_and_under_its_keys_alone() {
        let old = SessionKeys::new(&[1; 32]).unwrap();
        let new = SessionKeys::new(&[2; 32]).unwrap();
        let ring = new.clone().and_previous(&[1; 32]).unwrap();
        let sealed = old.seal(b"name", b"value").unwrap();
        assert_eq!(sealed.len(), SessionKeys::OVERHEAD + 5);
        assert!(!sealed.windows(5).any(|part| part == b"value"));
        assert_eq!(old.open(b"name", &sealed), Some((b"value".to_vec(), true)));
        assert_eq!(
            ring.open(b"name", &sealed),
            Some((b"value".to_vec(), false))
        );
        assert_eq!(new.open(b"name", &sealed), None);
        assert_eq!(old.open(b"other", &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(ring.open(b"name", &forged), None, "{at}");
        }
        assert_eq!(old.open(b"name", b""), None);
        assert_ne!(old.seal(b"name", b"value").unwrap(), sealed);
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let error = SessionKeys::new(&[7; 31]).unwrap_err().to_string();
        assert!(error.contains("31 bytes"), "{error}");
        let shown = format!("{:?}", SessionKeys::new(&[7; 32]).unwrap());
        assert_eq!(shown, "SessionKeys { secrets: 1 }");
    }
}
