//! The key-value service as an application sees it, the same tests on embedded memory and on Redis.

mod differential;
mod expiry;
mod failure;
mod foreign;
mod ids;
mod keys;
mod leases;
mod load;
mod loads_left;
mod loads_lost;
mod loads_overtaken;
mod many;
mod processes;
mod stand;
mod tags;
mod values;
mod windows;

use crate::harness::on_all_stores;
