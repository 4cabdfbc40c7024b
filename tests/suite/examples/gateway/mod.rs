//! The reverse proxy, driven over real sockets.

mod caching;
mod flags;
mod limits;
mod outages;
mod proxying;
mod stand;
