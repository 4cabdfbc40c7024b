//! Redis over the application's own pool.
//!
//! A call sends the commands of a batch in one write on a *lane*, a connection that was taken out
//! of the pool once and is shared by all concurrent calls. There is no checkout, and so no PING and
//! no UNWATCH, per operation. What waits on a lane at the same time leaves as one
//! pipeline, see [`queue`].
//!
//! [`Topology`] is what a store sees; [`server`] is one server, be it alone, behind sentinels or
//! a shard of a cluster.

mod access;
mod breaker;
mod call;
mod claim;
mod cluster;
mod command;
mod connection;
mod elements;
mod exchange;
mod follow;
mod handshake;
mod identity;
mod lane;
mod pipeline;
mod probe;
mod queue;
mod refusals;
mod replica;
mod reply;
mod revive;
mod script;
mod sentinels;
mod server;
mod source;
mod topology;

pub(crate) use access::{Access, connection_settings};
pub(crate) use cluster::Members;
pub(crate) use command::{Command, Commands};
pub(crate) use elements::NextReply;
pub(crate) use reply::{Reply, Results, all_failed};
pub(crate) use script::Script;
pub(crate) use sentinels::Sentinels;
pub(crate) use source::Source;
pub(crate) use topology::{Call, Topology};

#[cfg(test)]
mod tests;
