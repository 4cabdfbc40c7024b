//! The events platform's API, driven by its contract.

mod cost;
mod events;
mod flags;
mod health;
mod limits;
mod login;
mod outages;
mod renewal;
mod session_bounds;
mod session_data;
mod sessions;
mod stand;
mod tokens;
mod two_processes;
mod users;

use crate::harness::on_all_stores;
