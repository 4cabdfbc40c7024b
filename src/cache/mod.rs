//! HTTP response caching by RFC 9111.

// The layer calls all of it; without the layer part of the engine is unused.
#[allow(dead_code, unused_imports)]
pub(crate) mod policy;

pub use policy::{Policy, RequestDirective};
