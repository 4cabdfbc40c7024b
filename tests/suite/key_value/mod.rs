//! The key-value service as an application sees it, the same tests on embedded memory and on Redis.

mod expiry;
mod failure;
mod keys;
mod load;
mod loads_overtaken;
mod stand;
mod values;

use crate::harness::on_both_stores;
