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
//!   stored, and there are never more live sessions than the cap.
//! - *A revocation* [marks](Condemn) the entry, [ends](RevokeSession) the session, and
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
mod peek;
mod place;
mod revoke;
mod state;

pub(crate) use condemn::{Condemn, Condemned, Forget};
pub(crate) use enter::{EnterIndex, Entered};
pub(crate) use list::ReadIndex;
pub(crate) use peek::{PeekSession, Peeked};
pub(crate) use place::{LeavePlace, LocateSession, Location};
pub(crate) use revoke::RevokeSession;
pub(crate) use state::{Entry, IndexState, Member};

pub(super) use place::{is_revoked, leave, note};

#[cfg(feature = "redis")]
pub(crate) use self::{condemn::CONDEMN, enter::ENTER, revoke::REVOKE};

/// For how long it is remembered that a session was revoked: longer than a command that would
/// store it can be under way.
pub(super) const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(600);
