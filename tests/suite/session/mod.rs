//! Sessions as a client and a handler see them, the same tests on embedded memory and on Redis.

mod axum;
mod bounds;
mod commit;
mod concurrency;
mod contract;
mod cookies;
mod cost;
mod data;
mod differential;
mod events;
mod failure;
mod guides;
mod half_done;
mod ids;
mod interleavings;
mod keys;
mod layers;
mod laziness;
mod lifetimes;
mod login;
mod login_races;
mod logout;
mod lost_replies;
mod outliving;
mod overtaken;
mod payload;
mod races;
mod renewal;
mod save;
pub(crate) mod stand;
mod timeouts;
mod tower_sessions;
mod transports;
mod user_sessions;
mod user_sessions_redis;

use crate::harness::on_all_stores;
