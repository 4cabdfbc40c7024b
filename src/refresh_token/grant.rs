//! Whom a family of tokens is for, and what comes of a call.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{RefreshToken, RefreshTokenError};
use crate::store::{
    StoreError,
    operations::token::{Digest, FamilyName},
};

/// The most bytes of a user, a client and a device.
const NAME: usize = 256;
/// The most bytes of a scope.
const SCOPE: usize = 1024;

/// Whom a refresh token is for: what it is bound to from [`issue`](super::RefreshTokens::issue) on,
/// through all rotations.
///
/// ```
/// use tower_keep::refresh_token::Grant;
///
/// let grant = Grant::new("ada", "web").with_device("laptop").with_scope("read write");
/// assert_eq!(grant.scope(), Some("read write"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grant {
    user: Box<str>,
    client: Box<str>,
    device: Option<Box<str>>,
    scope: Option<Box<str>>,
}

/// All of a grant but its scope, which the store knows.
#[derive(Serialize, Deserialize)]
struct About<'a> {
    user: &'a str,
    client: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
}

impl Grant {
    /// For `user`, who has authorized `client`: each 1 to 256 bytes. An application that is its
    /// own only client gives that a name of its choice.
    pub fn new(user: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            user: user.into().into(),
            client: client.into().into(),
            device: None,
            scope: None,
        }
    }

    /// On a device, of 1 to 256 bytes, which [`revoke_device`](super::RefreshTokens::revoke_device)
    /// then names.
    #[must_use]
    pub fn with_device(self, device: impl Into<String>) -> Self {
        Self {
            device: Some(device.into().into()),
            ..self
        }
    }

    /// For this scope: tokens as of RFC 6749, section 3.3, between single spaces, at most 1024 bytes
    /// together.
    #[must_use]
    pub fn with_scope(self, scope: impl Into<String>) -> Self {
        Self {
            scope: Some(scope.into().into()),
            ..self
        }
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The client.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The device, if one was named.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// What was granted, if anything in particular was.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn check(&self) -> Result<(), RefreshTokenError> {
        name("user", &self.user)?;
        name("client", &self.client)?;
        self.device()
            .map_or(Ok(()), |device| name("device", device))?;
        self.scope().map_or(Ok(()), scope)
    }

    /// The scope as the store compares it: every token between spaces.
    pub(super) fn stored_scope(&self) -> Bytes {
        self.scope()
            .map(|scope| format!(" {scope} "))
            .unwrap_or_default()
            .into()
    }

    pub(super) fn about(&self) -> Bytes {
        let about = About {
            user: &self.user,
            client: &self.client,
            device: self.device(),
        };
        serde_json::to_vec(&about)
            .expect("strings can be written as JSON")
            .into()
    }

    pub(super) fn read(scope: &[u8], about: &[u8]) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Owned {
            user: Box<str>,
            client: Box<str>,
            #[serde(default)]
            device: Option<Box<str>>,
        }
        const FOREIGN: StoreError = StoreError::UnexpectedReply("not a family of refresh tokens");
        let Owned {
            user,
            client,
            device,
        } = serde_json::from_slice(about).map_err(|_| FOREIGN)?;
        let scope = std::str::from_utf8(scope).map_err(|_| FOREIGN)?.trim();
        Ok(Self {
            user,
            client,
            device,
            scope: Some(scope)
                .filter(|scope| !scope.is_empty())
                .map(Into::into),
        })
    }
}

fn name(what: &'static str, name: &str) -> Result<(), RefreshTokenError> {
    match name.len() {
        1..=NAME => Ok(()),
        _ => Err(RefreshTokenError::Unusable {
            what,
            expected: "1 to 256 bytes",
        }),
    }
}

/// `scope = scope-token *( SP scope-token )`, RFC 6749, section 3.3.
pub(super) fn scope(scope: &str) -> Result<(), RefreshTokenError> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(allowed);
    match scope.len() <= SCOPE && scope.split(' ').all(is_token) {
        true => Ok(()),
        false => Err(RefreshTokenError::Unusable {
            what: "scope",
            expected: "tokens of visible ASCII without \" and \\, between single spaces, 1024 bytes together",
        }),
    }
}

/// What a client gets, at its login and at each rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The refresh token to send.
    pub token: RefreshToken,
    /// How long it can be exchanged: the idle lifetime, or what is left of the family's.
    pub expires_in: Duration,
    /// Names its family.
    pub family: FamilyId,
    /// Whom it is for: what an access token is to be made of.
    pub grant: Grant,
}

/// A family that lives: one login of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Family {
    /// Names it.
    pub id: FamilyId,
    /// Whom it is for.
    pub grant: Grant,
    /// When its first token was issued, by the store's clock.
    pub created_at: SystemTime,
    /// When its newest one was.
    pub rotated_at: SystemTime,
    /// How long that can be exchanged.
    pub expires_in: Duration,
}

/// Names a family: public, stable through rotations, and no way to a token. 22 characters of
/// base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FamilyId(pub(super) FamilyName);

/// The text names no family that was ever issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a family of refresh tokens is named by 22 characters of base64url")]
pub struct InvalidFamilyId;

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyId({self})")
    }
}

impl FromStr for FamilyId {
    type Err = InvalidFamilyId;

    fn from_str(text: &str) -> Result<Self, InvalidFamilyId> {
        let mut name = [0; 16];
        match BASE64.decode_slice(text, &mut name) {
            Ok(16) => Ok(Self(Digest(name))),
            _ => Err(InvalidFamilyId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_tokens_between_single_spaces() {
        for good in ["read", "read write", "https://api.example/events:read", "!"] {
            assert!(scope(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "read ",
            " read",
            "read  write",
            "a\nb",
            "a\tb",
            "é",
            "a\"b",
            "a\\b",
        ] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
        assert!(scope(&"x".repeat(SCOPE)).is_ok());
        assert!(scope(&"x".repeat(SCOPE + 1)).is_err());
    }

    #[test]
    fn a_grant_reads_back_as_it_was() {
        let plain = Grant::new("ada", "web");
        let full = Grant::new("\"ä\0\n{}", "c:1")
            .with_device("a\nb")
            .with_scope("read write");
        for grant in [plain, full] {
            assert!(grant.check().is_ok());
            let read = Grant::read(&grant.stored_scope(), &grant.about()).unwrap();
            assert_eq!(read, grant);
        }
        assert!(Grant::read(b"", b"{}").is_err());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (grant, what) in [
            (Grant::new("", "web"), "user"),
            (Grant::new("a".repeat(257), "web"), "user"),
            (Grant::new("ada", ""), "client"),
            (Grant::new("ada", "web").with_device(""), "device"),
            (Grant::new("ada", "web").with_scope("a,\u{7}"), "scope"),
        ] {
            let error = grant.check().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_family_id_is_read_from_what_it_is_written_as() {
        let id = FamilyId(Digest([7; 16]));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "abc", &format!("{id}A"), &"x".repeat(1 << 20)] {
            assert_eq!(bad.parse::<FamilyId>(), Err(InvalidFamilyId));
        }
    }
}
