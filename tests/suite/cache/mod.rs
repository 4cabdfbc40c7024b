//! The response cache as clients and origins see it, the same tests on embedded memory and on Redis.

mod bodies;
mod collapse;
mod conditions;
mod contract;
mod cost;
mod differential;
mod failure;
mod floods;
mod healing;
mod incoming;
mod invalidation;
mod leases;
mod leavers;
mod lost_invalidations;
mod memory;
mod one_entry;
mod reuse;
mod secrets;
mod session;
mod sharing;
mod stale;
mod stalled;
pub(crate) mod stand;
mod streams;
mod supersede;
mod tags;
mod tags_in_redis;
mod targets;
mod variants;

use crate::harness::on_all_stores;
