//! A question that only a living server answers.

use crate::store::{clock::Timestamp, memory::Memory, operation::Operation};
#[cfg(feature = "redis")]
use crate::store::{
    error::StoreError,
    redis::{Command, Reply},
};

/// `TIME`: answered by a server that has finished loading.
#[derive(Debug)]
pub(crate) struct Ping;

impl Operation for Ping {
    type Output = ();

    fn run(&self, _: &Memory, _: Timestamp) {}

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("TIME")
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        reply.array().map(drop)
    }
}
