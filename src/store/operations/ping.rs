//! A question that only a living server answers.

use crate::store::{clock::Timestamp, memory::Memory, operation::Operation};
#[cfg(feature = "redis")]
use crate::store::{
    error::StoreError,
    redis::{Command, Reply},
};

/// `PING`: refused by a server that is still loading its data.
#[derive(Debug)]
pub(crate) struct Ping;

impl Operation for Ping {
    type Output = ();

    fn run(&self, _: &Memory, _: Timestamp) {}

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("PING")
    }

    #[cfg(feature = "redis")]
    fn reply(&self, _: Reply) -> Result<Self::Output, StoreError> {
        Ok(())
    }
}
