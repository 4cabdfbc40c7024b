//! Refresh tokens: one hash a user, one field of it a family.
//!
//! # What is stored
//!
//! A *family* is what one login began: the token that it issued and all that came of it by
//! rotation, of which only the newest is good. The field's name is the digest of a secret that
//! every token of the family carries, and its value the [`Family`](family::Family): which generation is the newest,
//! the digests of its token and of the one before, what the newest was derived with, and whom the
//! family is for. Neither a token nor what would yield one stands there.
//!
//! All families of a user are in one key. So one script sees all that a rotation, a revocation and a
//! login need, on a cluster too, and to revoke a user is to delete a key: nothing that goes on
//! meanwhile can bring a part of it back.
//!
//! # What a presented token is
//!
//! Its number against the family's generation tells, so no marker is kept for a token that was
//! used, however many there were, and none can be lost before its family ends. Who can name a family
//! has had a token of it, since the name's preimage is a secret.
//!
//! | Presented | Answer |
//! |---|---|
//! | of no family that lives | unknown |
//! | the newest | its successor, which becomes the newest |
//! | the one before, within the grace | the same successor |
//! | the one before, by the very call that retired it (its reply was lost) | the same successor |
//! | the one before after the grace, and any older one | reused: the family ends |
//! | the newest or the one before, with a secret that is not its own | unknown |
//!
//! A family that ended for a reuse stays as a [tombstone](family::Family::TOMBSTONE), so that a call that is
//! sent again after a lost reply still says so.

mod family;
mod issue;
mod list;
mod revoke;
mod rotate;

#[cfg(feature = "inspect")]
pub(crate) use family::Family;
pub(crate) use family::{Digest, FamilyName};
pub(crate) use issue::Issue;
pub(crate) use list::List;
pub(crate) use revoke::{RevokeDevice, RevokeFamily, RevokeUser};
pub(crate) use rotate::{Rotate, Rotation};

use crate::store::{
    key::{Key, Namespace},
    redis::Script,
};

pub(crate) use family::Families as Entry;
pub(super) const NAMES: [&str; 1] = ["refresh_token"];
pub(super) static SCRIPTS: &[&Script] = &[
    &issue::ISSUE,
    &list::LIST,
    &revoke::REVOKE_DEVICE,
    &rotate::ROTATE,
];

/// `{namespace}:refresh_token:{user}`: the families of a user, who is a digest.
pub(crate) fn key(names: &Namespace, user: &str) -> Key {
    names.key(NAMES[0], &[user])
}
