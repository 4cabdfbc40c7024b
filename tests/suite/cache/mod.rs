//! The response cache as clients and origins see it, the same tests on embedded memory and on Redis.

mod bodies;
mod collapse;
mod contract;
mod cost;
mod differential;
mod failure;
mod invalidation;
mod reuse;
mod session;
mod stale;
mod stand;
mod targets;

use crate::harness::on_both_stores;
