//! Questions about whatever keys there are: what an operator asks, and no request.
//!
//! They look at all kinds of data alike, and send commands that the service itself does not need
//! and that its user may lack.

mod facts;
mod glob;
mod keys;
mod read;

pub(crate) use facts::{MemoryFacts, ReadMemory, ReadSlowLog};
pub(crate) use glob::escape;
pub(crate) use keys::{Remove, Scan};
pub(crate) use read::{Found, Life, ReadLife, ReadType, ReadValue, ReadWeight, Type};

use super::{batch::Replies, error::StoreError, redis::Reply};

fn next(replies: &mut Replies) -> Result<Reply, StoreError> {
    let reply = replies.next();
    reply.unwrap_or(Err(StoreError::UnexpectedReply(
        "fewer replies than commands",
    )))
}
