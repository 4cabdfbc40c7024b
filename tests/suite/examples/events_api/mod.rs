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
mod stand;
mod tokens;
mod users;

use crate::harness::on_all_stores;
