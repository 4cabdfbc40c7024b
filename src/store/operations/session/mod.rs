//! Sessions: one hash a session, one field of it a piece of data, one script an operation.
//!
//! No operation brings back what is gone: all but [`CreateSession`] change only a session that still
//! exists, and say so when it does not. Under an id that was renewed stands for a while a
//! pointer to the new one; the caller follows it with a second call.

mod access;
mod commit;
mod create;
mod destroy;
mod increment;
mod load;
mod record;
mod swap;

pub(crate) use access::{Access, Reached, Timeouts};
pub(crate) use commit::{Changes, CommitSession, Renewal};
pub(crate) use create::CreateSession;
pub(crate) use destroy::DestroySession;
pub(crate) use increment::IncrementSession;
pub(crate) use load::{LoadSession, LoadedSession};
pub(crate) use record::{Fields, SessionState};
pub(crate) use swap::{Swap, SwapSession};

#[cfg(feature = "redis")]
pub(crate) use self::{
    commit::COMMIT, create::CREATE, destroy::DESTROY, increment::INCREMENT, load::LOAD, swap::SWAP,
};

/// A session script: the part that all of them share and its own.
#[cfg(feature = "redis")]
macro_rules! session_script {
    ($name:literal) => {
        $crate::store::redis::Script::new(concat!(
            include_str!("session.lua"),
            include_str!(concat!($name, ".lua")),
        ))
    };
}
#[cfg(feature = "redis")]
use session_script;
