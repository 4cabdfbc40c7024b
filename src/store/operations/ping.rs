//! A question that only a living server answers.

#[cfg(feature = "redis")]
use crate::store::redis::{Command, Reply};
use crate::store::{clock::Timestamp, error::StoreError, memory::Memory, operation::Operation};

/// `DBSIZE`: unlike `TIME` refused by a server that is still loading its data, and unlike `PING`
/// not taken for what connection pools send.
#[derive(Debug)]
pub(crate) struct Ping;

impl Operation for Ping {
    type Output = ();

    fn run(&self, _: &Memory, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        Command::new("DBSIZE")
    }

    #[cfg(feature = "redis")]
    fn reply(&self, _: Reply) -> Result<Self::Output, StoreError> {
        Ok(())
    }
}
