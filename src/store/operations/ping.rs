//! A question that only a living server answers.

use crate::store::{clock::Timestamp, memory::Memory, operation::Operation};
#[cfg(feature = "redis")]
use crate::store::{
    error::StoreError,
    redis::{Command, Reply},
};

/// `DBSIZE`: unlike `TIME` refused by a server that is still loading its data, and unlike `PING`
/// not taken for what connection pools send.
#[derive(Debug)]
pub(crate) struct Ping;

impl Operation for Ping {
    type Output = ();

    fn run(&self, _: &Memory, _: Timestamp) {}

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("DBSIZE")
    }

    #[cfg(feature = "redis")]
    fn reply(&self, _: Reply) -> Result<Self::Output, StoreError> {
        Ok(())
    }
}
