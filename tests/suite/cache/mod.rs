//! The response cache as clients and origins see it, the same tests on embedded memory and on Redis.

mod bodies;
mod collapse;
mod conditions;
mod contract;
mod cost;
mod differential;
mod failure;
mod invalidation;
mod reuse;
mod secrets;
mod session;
mod stale;
mod stand;
mod supersede;
mod targets;

use crate::harness::on_both_stores;
