//! The response cache as clients and origins see it, the same tests on embedded memory and on Redis.

mod bodies;
mod collapse;
mod contract;
mod cost;
mod differential;
mod failure;
mod incoming;
mod invalidation;
mod memory;
mod reuse;
mod session;
mod sharing;
mod stale;
mod stalled;
mod stand;
mod streams;

use crate::harness::on_both_stores;
