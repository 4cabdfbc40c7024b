//! A token that shows that a form came from a page of this session.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest, Sha256};

use super::{super::error::SessionError, Session};
use crate::store::random;

/// The session's key for the secret.
pub(super) const KEY: &str = "_csrf";

const LENGTH: usize = 32;

impl Session {
    /// A token for the forms of a page: the page sends it back in a field of the form, and
    /// [`verify_csrf`](Self::verify_csrf) checks it (OWASP: synchronizer token). It differs at
    /// every call, so that compression tells nothing about it (BREACH), and all tokens of a session
    /// are good until somebody logs in.
    ///
    /// It is for forms of pages that old browsers send, too; where browsers send `Origin` or
    /// `Sec-Fetch-Site`, a check of those needs no token and complements this one.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn form(session: Session) -> Result<String, SessionError> {
    ///     let token = session.csrf_token().await?;
    ///     Ok(format!(r#"<input type="hidden" name="csrf" value="{token}">"#))
    /// }
    ///
    /// async fn submitted(session: Session, csrf: &str) -> Result<(), SessionError> {
    ///     session.verify_csrf(csrf).await
    /// }
    /// ```
    ///
    /// One round trip if nothing was loaded yet, and for the first token of a stored session another:
    /// its secret is stored at once, as by an [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update), and [`SessionError::NoEntropy`].
    pub async fn csrf_token(&self) -> Result<String, SessionError> {
        let secret = match self.csrf_secret().await? {
            Some(secret) => secret,
            None => {
                let mut secret = random::secret()?;
                // Of two pages at once the second gets the secret of the first.
                let agree = |there: Option<String>| {
                    secret = there.as_deref().and_then(decode).unwrap_or(secret);
                    BASE64.encode(secret)
                };
                self.update(KEY, agree).await?;
                secret
            }
        };
        let mask: [u8; LENGTH] = random::secret()?;
        let mut token = mask.to_vec();
        token.extend(mask.iter().zip(secret).map(|(mask, secret)| mask ^ secret));
        Ok(BASE64.encode(token))
    }

    /// Checks a token that [`csrf_token`](Self::csrf_token) has given out in this session.
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidCsrfToken`], a 403; those of [`get`](Self::get).
    pub async fn verify_csrf(&self, token: &str) -> Result<(), SessionError> {
        let secret = self.csrf_secret().await?;
        let token = BASE64.decode(token).ok();
        let sent = token
            .filter(|token| token.len() == 2 * LENGTH)
            .map(|token| {
                let (mask, masked) = token.split_at(LENGTH);
                let sent = mask.iter().zip(masked).map(|(mask, masked)| mask ^ masked);
                sent.collect::<Vec<u8>>()
            });
        // Of hashes it may be told from the time how far they agree.
        match (secret, sent) {
            (Some(secret), Some(sent)) if Sha256::digest(secret) == Sha256::digest(&sent) => Ok(()),
            _ => Err(SessionError::InvalidCsrfToken),
        }
    }

    async fn csrf_secret(&self) -> Result<Option<[u8; LENGTH]>, SessionError> {
        let secret = self.get::<String>(KEY).await?;
        Ok(secret.as_deref().and_then(decode))
    }
}

fn decode(secret: &str) -> Option<[u8; LENGTH]> {
    BASE64.decode(secret).ok()?.try_into().ok()
}
