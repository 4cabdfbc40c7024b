//! Refresh tokens, the same tests on every store.

mod bindings;
mod bounds;
mod cost;
mod differential;
mod events;
mod failure;
mod forged;
mod grace;
mod keys;
mod lifetimes;
mod lost_replies;
mod races;
mod reuse;
mod revocation;
mod rotation;
mod stand;

use crate::harness::on_all_stores;
