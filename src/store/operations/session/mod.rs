//! Sessions: one hash a session, one field of it a piece of data.
//!
//! # What is stored
//!
//! Under the hash of an id stands a session or a pointer to one. A session has the fields `m`
//! ([metadata](meta)), `u` (the user who is logged in, if one is), `l` (its [lifetime](rules), if it
//! has a user or timeouts of its own), `p` (the hash of the id before, while the current one was
//! never presented) and `d:…`, the data. A pointer has the field `m`
//! alone: a mark and the hash of another id. All ids of a session share a slot tag, so each script
//! works on one slot.
//!
//! A login as another user gives the session a new lineage, so that a lineage belongs to one user.
//! Where a session with a user stands is noted at its [place](super::session_index), by the same
//! scripts.
//!
//! The key of a session expires after the idle timeout or with the absolute one, whichever is
//! first, by the server's own clock. So a read is `HGETALL` and `PTTL` and no script: what has
//! ended is not there, and the end as it is written in `m`, less what is left of it, is the
//! server's time. A [touch](TouchSession) is a script of its own that runs when it is due; the read
//! does not fail when the touch does.
//!
//! No operation brings back what is gone: all but [`CreateSession`] change only a session that
//! still exists.
//!
//! # Which id leads where
//!
//! What stands under an id, and what makes it change. The last column is who still gets to the
//! session over the id; [`Follower`] has the order.
//!
//! | State | Becomes | Leads to the session |
//! |---|---|---|
//! | nothing | `=` by a new session, `?`/`=` by a renewal, `>` by joining: always under a fresh random id | nobody; what a client makes up stays here |
//! | `=` a session whose id was presented, or that no older id leads to | `>` or `x` by a renewal | everybody |
//! | `?` a session whose id was never presented | `=` by its first use, before anything is changed through it | everybody |
//! | `>` the id before, same user | nothing: with the session's absolute timeout, or with the grace once the new id was used | everybody |
//! | `x` the id before, another user or none | nothing, after the grace | a login as the user whose session it is now |
//!
//! Without a grace no `x` is written, and a `>` goes with the first use of the new id.
//!
//! Every step is one script on Redis and one locked step on memory, so two processes can only
//! interleave them as follows.
//!
//! - *Two renewals over one id.* The second finds `>`, follows it and commits its changes, but gets
//!   no id: a renewal through an old id hands out none. The client has one new id, or lost it with
//!   the reply and goes on with the old one, which leads to the session until the new one is used.
//! - *Two logins over one id*, of nobody's session. The second finds `x`, and finds the session to
//!   be of the user who has just proved who they are. Its new id becomes
//!   a `>` to the session (it *joins*), so either cookie is logged in. Where the session is
//!   another user's, the second login gets a session of its own. Without a grace it finds nothing,
//!   and is dropped like one that a logout overtakes: its browser has the cookie of the first.
//! - *A login as another user*, over whatever id, always renews, drops the data of the user before
//!   and leaves `x`: who knew an id before, planted or stolen, is anonymous from then on. That
//!   holds for chains, too: an older `>` ends at the `x`.
//! - *A change that a renewal overtakes* follows `>` and lands in the session. At `x` it is
//!   dropped: its user has not logged in, and a new session's cookie would replace the login's.
//! - *A logout that a renewal overtakes* follows `>`: it is the same user's. It does not follow `x`.
//! - *A renewal, login or change that a logout overtakes* finds nothing, and is dropped when it had
//!   seen the session before.
//! - *First use.* `?` becomes `=` in one step with the end of the old id. A change that comes
//!   through a `?` is sent back to do this first: the session remembers one id before its own, and
//!   would otherwise forget it, without an end, at the next renewal.
//! - *A commit that is sent twice*, its first reply lost, finds its own new id under the old one
//!   and goes on there.

mod access;
mod bounds;
mod commit;
mod create;
mod destroy;
mod increment;
mod load;
mod meta;
mod names;
mod peek;
mod pointer;
mod record;
mod reply;
mod revoke;
mod rules;
mod swap;
mod touch;

pub(crate) use access::{Access, Reached};
pub(crate) use bounds::{Fields, Size};
pub(crate) use commit::{Changes, CommitSession, Committed, Prospect, Renewal};
pub(crate) use create::{Bound, CreateSession};
pub(crate) use destroy::DestroySession;
pub(crate) use increment::IncrementSession;
pub(crate) use load::{LoadSession, LoadedSession};
#[cfg(feature = "inspect")]
pub(crate) use meta::show as show_meta;
pub(crate) use names::Names;
pub(crate) use peek::{PeekSession, Peeked};
pub(crate) use pointer::{Follower, Pointer, Via};
pub(crate) use revoke::{RevokeSession, Revoked};
pub(crate) use rules::{Age, Lifetime, Rules};
pub(crate) use swap::{Swap, SwapSession};
pub(crate) use touch::{FirstUse, TouchSession};

use crate::store::redis::Script;

pub(crate) use record::SessionState as Entry;
pub(super) const NAMES: [&str; 1] = ["session"];
pub(super) static SCRIPTS: &[&Script] = &[
    &commit::COMMIT,
    &create::CREATE,
    &destroy::DESTROY,
    &increment::INCREMENT,
    &revoke::REVOKE,
    &swap::SWAP,
    &touch::TOUCH,
];

/// A session script: what all of them share and, last, its own.
macro_rules! session_script {
    ("resent", "bounds", $name:literal) => {
        $crate::store::redis::Script::new(concat!(
            include_str!("find.lua"),
            include_str!("resent.lua"),
            include_str!("session.lua"),
            include_str!("bounds.lua"),
            include_str!(concat!($name, ".lua")),
        ))
    };
    ("bounds", $name:literal) => {
        $crate::store::redis::Script::new(concat!(
            include_str!("find.lua"),
            include_str!("session.lua"),
            include_str!("bounds.lua"),
            include_str!(concat!($name, ".lua")),
        ))
    };
    ($name:literal) => {
        $crate::store::redis::Script::new(concat!(
            include_str!("find.lua"),
            include_str!("session.lua"),
            include_str!(concat!($name, ".lua")),
        ))
    };
}
use session_script;

#[cfg(test)]
mod tests;
