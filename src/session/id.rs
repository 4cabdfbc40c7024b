//! Session ids, their places in the store, and what stands for them in logs.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arrayvec::ArrayString;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest, Sha256};

use super::error::SessionError;
use crate::store::{
    Key,
    operations::{
        session::{Follower, Names, Pointer, Via},
        session_index::Member,
    },
    random,
};

/// Characters of an id. With them its hash is one block of SHA-256.
const LENGTH: usize = 52;
/// Characters of it that are not secret: they choose the hash slot on a cluster.
const SLOT: usize = 4;
/// Characters after them that stay when the id is renewed, too.
const ROOT: usize = 4;
/// Characters of an id's hash.
const HASH: usize = 43;

/// The secret that names a session: 52 characters of base64url, 39 bytes of the operating
/// system's random number generator.
///
/// The first 3 bytes are the slot tag: it stays when the id is renewed and is part of the store's
/// key names. So does the root, 3 bytes that the store does not know: encrypted values are bound to
/// both. The other 33 (264 bits) are new in each id, secret, and stored nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionId([u8; LENGTH]);

/// Where the session of an id is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    slot: [u8; SLOT],
    root: [u8; ROOT],
    id_hash: ArrayString<HASH>,
    /// Whether the client has sent this id, or an old one that led here.
    pub(super) via: Via,
}

impl SessionId {
    /// A fresh id.
    pub(super) fn random() -> Result<Self, SessionError> {
        let mut id = [0; LENGTH];
        id.copy_from_slice(random_text::<{ LENGTH / 4 * 3 }>()?.as_bytes());
        Ok(Self(id))
    }

    /// A fresh id with the slot tag and the root of the session at `place`.
    pub(super) fn renewed(place: &Place) -> Result<Self, SessionError> {
        let mut id = Self::random()?;
        id.0[..SLOT].copy_from_slice(&place.slot);
        id.0[SLOT..SLOT + ROOT].copy_from_slice(&place.root);
        Ok(id)
    }

    /// An id as the client has sent it; `None` for anything that this crate did not issue.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let base64url = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let id = <[u8; LENGTH]>::try_from(value).ok()?;
        id.iter().all(base64url).then_some(Self(id))
    }

    /// The cookie's value. Not for logs.
    pub(super) fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII")
    }

    pub(super) fn place(&self) -> Place {
        let (mut slot, mut root) = ([0; SLOT], [0; ROOT]);
        slot.copy_from_slice(&self.0[..SLOT]);
        root.copy_from_slice(&self.0[SLOT..SLOT + ROOT]);
        let mut id_hash = [0; HASH];
        let written = BASE64.encode_slice(Sha256::digest(self.0), &mut id_hash);
        written.expect("32 bytes are 43 characters");
        Place {
            slot,
            root,
            id_hash: ArrayString::from_byte_string(&id_hash).expect("base64url is ASCII"),
            via: Via::Presented,
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

impl Place {
    pub(super) fn key(&self, names: Names<'_>) -> Key {
        let slot = std::str::from_utf8(&self.slot).expect("a slot tag is ASCII");
        names.session(slot, &self.id_hash)
    }

    pub(super) fn id_hash(&self) -> &str {
        &self.id_hash
    }

    /// Whether both may be ids of one session, which all have its slot tag.
    pub(super) fn shares_slot(&self, other: &Self) -> bool {
        self.slot == other.slot
    }

    /// What an encrypted value of this name is bound to: its name, and what all ids of the session
    /// have in common.
    #[cfg(feature = "session-encryption")]
    pub(super) fn binds(&self, name: &str) -> Vec<u8> {
        [&self.slot, &self.root, name.as_bytes()].concat()
    }

    /// What names the session of this `lineage` in the index of its user.
    pub(super) fn member(&self, lineage: Arc<str>) -> Member {
        let slot = self.slot;
        Member { lineage, slot }
    }

    /// Where the place of the session of this `lineage` is noted.
    pub(super) fn noted(&self, names: Names<'_>, lineage: &str) -> Key {
        let slot = std::str::from_utf8(&self.slot).expect("a slot tag is ASCII");
        names.place(slot, lineage)
    }

    /// Where `pointer` leads.
    pub(super) fn follow(&mut self, pointer: Pointer) {
        self.id_hash = hash(&pointer.id_hash);
        self.via = match (self.via, pointer.leads) {
            (Via::Presented | Via::Old, Follower::Request) => Via::Old,
            _ => Via::Closed,
        };
    }

    /// The place of another id of the same session.
    pub(super) fn of_hash(&self, id_hash: &str) -> Self {
        Self {
            slot: self.slot,
            root: self.root,
            id_hash: hash(id_hash),
            via: Via::Old,
        }
    }
}

/// What is read as the hash of an id. What is too long for one is none: nothing is stored under it.
fn hash(text: &str) -> ArrayString<HASH> {
    ArrayString::from(text).unwrap_or_default()
}

/// A new lineage: 96 random bits as 16 characters, public. A session keeps it under every id that
/// it gets until another user logs in.
pub(super) fn lineage() -> Result<Arc<str>, SessionError> {
    random_text::<12>().map(Into::into)
}

/// Checks the name of a user.
pub(super) fn check_user(user: &str) -> Result<(), SessionError> {
    const MOST: usize = 256;
    match (1..=MOST).contains(&user.len()) {
        true => Ok(()),
        false => Err(SessionError::InvalidUser),
    }
}

fn random_text<const BYTES: usize>() -> Result<String, SessionError> {
    Ok(BASE64.encode(random::secret::<BYTES>()?))
}

/// What stands for a session in logs: a hash with a salt that dies with the process, so that
/// lines about one session can be found but lead to no session.
pub(super) struct LogId(u64);

impl LogId {
    /// `name` is anything that names the session: its lineage or the hash of its id.
    pub(super) fn of(name: &str) -> Self {
        static SALT: OnceLock<[u8; 16]> = OnceLock::new();
        let salt = SALT.get_or_init(|| {
            // Without entropy no id is made either; the hash alone still hides the name.
            random::secret().unwrap_or_default()
        });
        let digest = Sha256::new()
            .chain_update(salt)
            .chain_update(name)
            .finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(short))
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Namespace;

    #[test]
    fn an_id_is_52_characters_of_base64url_and_reads_back() {
        let id = SessionId::random().unwrap();
        assert_eq!(id.expose().len(), 52);
        assert_eq!(SessionId::parse(id.expose().as_bytes()), Some(id.clone()));
        assert_ne!(SessionId::random().unwrap(), id);
    }

    #[test]
    fn what_was_never_issued_is_no_id() {
        let id = SessionId::random().unwrap().expose().to_owned();
        for bad in [
            String::new(),
            id[1..].to_owned(),
            format!("{id}A"),
            format!("{}=", &id[1..]),
            format!("{}+", &id[1..]),
            format!("{}}}", &id[1..]),
            format!("{}é", &id[2..]),
            "a".repeat(100_000),
        ] {
            assert_eq!(SessionId::parse(bad.as_bytes()), None, "{bad:.60}");
        }
    }

    #[test]
    fn a_renewed_id_shares_the_slot_tag_and_the_root_and_264_bits_are_new() {
        let id = SessionId::random().unwrap();
        let renewed = SessionId::renewed(&id.place()).unwrap();
        assert_eq!(id.expose()[..8], renewed.expose()[..8]);
        for at in (8..52).step_by(4) {
            assert_ne!(id.expose()[at..at + 4], renewed.expose()[at..at + 4]);
        }
        assert_ne!(id.expose()[..4], id.expose()[4..8]);
    }

    #[test]
    fn the_key_holds_the_hash_of_the_id_and_not_the_id() {
        let id = SessionId::random().unwrap();
        let key = id.place().key(Names::new(&Namespace::default(), ""));
        assert!(!key.as_str().contains(&id.expose()[SLOT..]));
        assert_eq!(
            key.as_str(),
            format!(
                "keep:session:{{{}}}:{}",
                &id.expose()[..SLOT],
                BASE64.encode(Sha256::digest(id.expose()))
            )
        );
    }

    #[test]
    fn neither_debug_nor_a_log_id_shows_an_id() {
        let id = SessionId::random().unwrap();
        assert_eq!(format!("{id:?}"), "SessionId");
        let log = LogId::of(id.place().id_hash()).to_string();
        assert!(!id.expose().contains(&log) && !id.place().id_hash().contains(&log));
        assert_eq!(log, LogId::of(id.place().id_hash()).to_string());
    }
}
