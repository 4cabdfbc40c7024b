//! The events platform's API, driven by its contract.

mod cost;
mod events;
mod flags;
mod limits;
mod login;
mod outages;
mod session_data;
mod stand;
mod users;

use crate::harness::on_both_stores;
