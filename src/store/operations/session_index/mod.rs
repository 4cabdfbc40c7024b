//! The sessions of a user: which there are, and ending them.
//!
//! # What is stored
//!
//! *The index*, a hash for each user in a slot of its own: a field for each session, named by the
//! session's lineage, with a mark (`=`, or `-` once the session is to be ended), the session's slot
//! tag, when its user logged in and when it ends at the latest (each 11 hexadecimal digits of
//! milliseconds), and the device.
//!
//! *The place* of each session that has a user, a string in the session's slot, named by the
//! lineage: the hash of the id under which the session stands, or `!` once it was revoked. The
//! script that renews the id changes it in the same step. So the index need not know of renewals,
//! and they cost no further round trip.
//!
//! A login as another user gives the session a new lineage, so a lineage belongs to one user for
//! good, and what ends a lineage ends nobody else's session.
//!
//! # No live session is missed
//!
//! On a cluster the index is in another slot than its sessions, so no script changes both. The
//! order makes every crash between two steps safe:
//!
//! - *A login* [notes](EnterIndex) the session in the index, ends those that are over the cap, and
//!   stores its own session last. After a crash the index may name a session that was never
//!   stored, and there are never more live sessions than the cap. One that is
//!   sent again after a lost reply is told again of all that is marked.
//! - *A revocation* [marks](Condemn) the entry, [ends](super::session::RevokeSession) the session, and
//!   [forgets](Forget) the entry last. After a crash the mark is still there, and the next login
//!   at the cap, list or revocation finishes the work.
//! - *A revocation that overtakes a login under way* finds no place, and leaves `!` there. The
//!   script that would store the session finds it and stores nothing. The same holds for a command
//!   that is sent again after its session was revoked.
//! - *A revocation and a renewal at once*: each is one script on the place and the session. Either
//!   the renewal finds no session, or the revocation finds the new id and tries again there.
//! - *A session that ended by itself* stays in the index until a list or a login at the cap finds
//!   it ended. To remove it is to revoke it, so that a login under way is not forgotten.
//!
//! Redis may evict an index or a place only under a `maxmemory-policy` that evicts keys with an
//! expiry; sessions that must be revocable need `noeviction`.

mod condemn;
mod enter;
mod list;
mod place;
mod state;

pub(crate) use condemn::{Condemn, Condemned, Forget};
pub(crate) use enter::{EnterIndex, Entered};
pub(crate) use list::{Index, ReadIndex};
pub(crate) use place::{LeavePlace, LocateSession, Location, is_revoked, leave, note};
pub(crate) use state::{IndexState, Listed, Member};

use crate::store::redis::Script;

pub(crate) use IndexState as Entry;
pub(super) const NAMES: [&str; 2] = ["session_index", "session_place"];
pub(super) static SCRIPTS: &[&Script] = &[&enter::ENTER, &condemn::CONDEMN, &list::LIST];
