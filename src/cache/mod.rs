//! HTTP response caching by RFC 9111.

pub mod policy;
