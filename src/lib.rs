//! Composable Tower layers for rate limiting, sessions and HTTP response caching.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "in a test a failed unwrap is a failed test"
    )
)]

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "key-value")]
pub mod key_value;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "session")]
pub mod session;
pub mod store;

pub use store::{Store, StoreConfig, StoreError};

mod body;
mod peer;
mod problem;

pub use body::ResponseBody;
pub use peer::PeerAddr;
