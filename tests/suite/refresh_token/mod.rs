//! Refresh tokens, the same tests on embedded memory and on Redis, and all of them on a cluster and
//! behind sentinels.

mod bindings;
mod bounds;
mod cost;
mod differential;
mod events;
mod failure;
mod grace;
mod keys;
mod lifetimes;
mod lost_replies;
mod races;
mod reuse;
mod revocation;
mod rotation;
mod stand;
mod topologies;

use crate::harness::on_both_stores;
