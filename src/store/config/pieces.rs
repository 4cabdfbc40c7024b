//! A server that is not named by a URL.

/// A server that variables name piece by piece.
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "no server is reached")
)]
pub(super) struct Pieces {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) db: Option<u32>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}
