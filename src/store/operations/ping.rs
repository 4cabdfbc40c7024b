//! A question that only a living server answers.

use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    redis::{Command, Commands},
};

/// `DBSIZE`: unlike `TIME` refused by a server that is still loading its data, and unlike `PING`
/// not taken for what connection pools send.
#[derive(Debug)]
pub(crate) struct Ping;

impl<M> Batch<M> for Ping {
    type Output = Result<(), StoreError>;

    fn run(&self, _: &M, _: Timestamp) -> Self::Output {
        Ok(())
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("DBSIZE"));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        match replies.next() {
            Some(reply) => reply.map(drop),
            None => Err(StoreError::UnexpectedReply("no reply")),
        }
    }
}
