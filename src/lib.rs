//! Composable Tower layers for rate limiting, sessions and HTTP response caching.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cache")]
pub mod cache;
