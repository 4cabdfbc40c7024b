//! The reverse proxy, driven over real sockets.

mod caching;
mod draining;
mod fields;
mod flags;
mod framing;
mod h2_frames;
mod idle;
mod kept_connections;
mod limits;
mod outages;
mod proxying;
mod purges;
mod stand;
mod stores;
mod targets;
mod upgrades;
