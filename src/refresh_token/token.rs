//! Tokens: what the client holds, and what is known of it elsewhere.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};

use super::RefreshTokenError;
use crate::store::{
    Key, Namespace,
    operations::token::{self, Digest, FamilyName},
    random,
};

/// Bytes of a secret: 192 bits.
const SECRET: usize = 24;
/// Bytes of a token: the digest of its user, the secret of its family, its number, its own secret
/// and a checksum of all that.
const LENGTH: usize = 16 + 16 + 4 + SECRET + CHECKSUM;
/// Bytes that tell a token with a typing error or a changed character from an issued one.
const CHECKSUM: usize = 6;
/// Characters of a token behind its prefix.
const TEXT: usize = LENGTH / 3 * 4;

/// A secret that a client may exchange once for an access token and the next refresh token.
///
/// [`expose`](Self::expose) shows it, `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Box<str>);

impl RefreshToken {
    /// The token as the client gets it: the prefix and 88 characters of base64url.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As [`expose`](Self::expose), owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

/// A token taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// Where its user's families are kept. It is no secret.
    user: [u8; 16],
    /// Shared by the tokens of a family, and known to nobody else.
    family: [u8; 16],
    pub(super) generation: u32,
    secret: [u8; SECRET],
}

impl Parts {
    /// The first token of a new family.
    pub(super) fn first(user: &str) -> Result<Self, RefreshTokenError> {
        Ok(Self {
            user: user_digest(user),
            family: random::secret()?,
            generation: 1,
            secret: random::secret()?,
        })
    }

    /// A token as a client has sent it; `None` for anything that was not issued with this prefix.
    pub(super) fn parse(prefix: &str, token: &str) -> Option<Self> {
        let text = token.strip_prefix(prefix)?;
        // Before it is decoded: whatever a client sends costs no memory.
        if text.len() != TEXT {
            return None;
        }
        let mut bytes = [0; LENGTH];
        BASE64.decode_slice(text, &mut bytes).ok()?;
        let (body, sum) = bytes.split_at(LENGTH - CHECKSUM);
        if sum != checksum(body) {
            return None;
        }
        let (user, body) = body.split_first_chunk()?;
        let (family, body) = body.split_first_chunk()?;
        let (generation, secret) = body.split_first_chunk()?;
        Some(Self {
            user: *user,
            family: *family,
            generation: u32::from_be_bytes(*generation),
            secret: secret.try_into().ok()?,
        })
    }

    /// The token that follows this one with `nonce`. Whoever has but one of the two cannot tell
    /// it: the client, which may be a thief, does not know the nonce, nor the store the token.
    pub(super) fn successor(&self, nonce: &[u8; 16]) -> Self {
        let material = [&self.secret[..], &self.family, nonce].concat();
        let mut secret = [0; SECRET];
        let mut derive = blake3::Hasher::new_derive_key("tower-keep refresh token: successor");
        derive.update(&material).finalize_xof().fill(&mut secret);
        Self {
            generation: self.generation.saturating_add(1),
            secret,
            ..self.clone()
        }
    }

    pub(super) fn token(&self, prefix: &str) -> RefreshToken {
        let generation = self.generation.to_be_bytes();
        let mut bytes = [&self.user[..], &self.family, &generation, &self.secret].concat();
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let mut token = String::with_capacity(prefix.len() + TEXT);
        token.push_str(prefix);
        BASE64.encode_string(bytes, &mut token);
        RefreshToken(token.into())
    }

    /// Where the families of its user are.
    pub(super) fn key(&self, names: &Namespace) -> Key {
        token::key(names, &BASE64.encode(self.user))
    }

    pub(super) fn family(&self) -> FamilyName {
        digest("tower-keep refresh token: family", &self.family)
    }

    pub(super) fn secret(&self) -> Digest {
        digest("tower-keep refresh token: secret", &self.secret)
    }
}

/// Where the families of `user` are.
pub(super) fn key(names: &Namespace, user: &str) -> Key {
    token::key(names, &BASE64.encode(user_digest(user)))
}

fn user_digest(user: &str) -> [u8; 16] {
    digest("tower-keep refresh token: user", user.as_bytes()).0
}

pub(super) fn client(client: &str) -> Digest {
    digest("tower-keep refresh token: client", client.as_bytes())
}

pub(super) fn device(device: &str) -> Digest {
    digest("tower-keep refresh token: device", device.as_bytes())
}

/// A digest for one purpose: the same bytes have another one elsewhere.
fn digest(purpose: &str, bytes: &[u8]) -> Digest {
    let mut digest = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key(purpose);
    hasher.update(bytes).finalize_xof().fill(&mut digest);
    Digest(digest)
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    let mut hasher = blake3::Hasher::new();
    hasher.update(body).finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(token: &str) -> Option<Parts> {
        Parts::parse("rt_", token)
    }

    #[test]
    fn a_token_is_its_prefix_and_88_characters_of_base64url_and_reads_back() {
        let parts = Parts::first("ada").unwrap();
        let token = parts.token("rt_");
        assert!(token.expose().starts_with("rt_"));
        assert_eq!(token.expose().len(), 91);
        assert!(parse(token.expose()) == Some(parts));
    }

    #[test]
    fn a_token_with_any_character_changed_is_none() {
        let token = Parts::first("ada").unwrap().token("rt_");
        for place in 0..token.expose().len() {
            for other in ['A', 'b', '-', '_', '7'] {
                let mut changed: Vec<_> = token.expose().chars().collect();
                if std::mem::replace(&mut changed[place], other) != other {
                    let changed: String = changed.into_iter().collect();
                    assert!(parse(&changed).is_none(), "{changed}");
                }
            }
        }
    }

    #[test]
    fn what_was_never_issued_is_no_token() {
        let token = Parts::first("ada").unwrap().token("rt_").into_string();
        for bad in [
            "",
            "rt_",
            &token[1..],
            &token[..90],
            &format!("{token}A"),
            &format!("{token}="),
            &format!("{} ", &token[..90]),
            &format!("{}é", &token[..89]),
            &"rt_".repeat(400_000),
        ] {
            assert!(parse(bad).is_none(), "{bad:.100}");
        }
        assert!(Parts::parse("other_", &token).is_none());
        assert!(Parts::parse("", &token[3..]).is_some());
    }

    #[test]
    fn a_successor_follows_from_token_and_nonce_together() {
        let first = Parts::first("ada").unwrap();
        let next = first.successor(&[1; 16]);
        assert!(next == first.successor(&[1; 16]));
        assert!(next.secret != first.successor(&[2; 16]).secret);
        assert!(next.secret != first.secret);
        assert_eq!((next.generation, next.family()), (2, first.family()));
        let other = Parts {
            secret: [0; SECRET],
            ..first
        };
        assert!(next.secret != other.successor(&[1; 16]).secret);
    }

    #[test]
    fn two_tokens_of_a_user_share_no_more_than_their_key() {
        let (one, two) = (Parts::first("ada").unwrap(), Parts::first("ada").unwrap());
        assert_eq!(one.user, two.user);
        assert_ne!((one.family, one.secret), (two.family, two.secret));
        assert_ne!(Parts::first("eve").unwrap().user, one.user);
        let key = one.key(&Namespace::default());
        assert_eq!(key, super::key(&Namespace::default(), "ada"));
        assert!(!key.as_str().contains("ada"), "{key}");
    }

    #[test]
    fn debug_shows_no_token() {
        let token = Parts::first("ada").unwrap().token("rt_");
        assert_eq!(format!("{token:?}"), "RefreshToken");
    }
}
