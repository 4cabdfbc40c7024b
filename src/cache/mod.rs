//! HTTP response caching by RFC 9111, as a shared cache in front of the inner service.

mod body;
mod cache_status;
mod exchange;
mod fill;
mod future;
mod in_flight;
mod key;
mod layer;
mod lookup;
mod options;
mod policy;
mod pump;
mod refusal;
mod serve;
mod service;
mod state;
mod storing;
mod uncacheable;
mod verdict;

pub use body::CacheBody;
pub use future::ResponseFuture;
pub use layer::{CacheLayer, CacheNameError};
pub use options::SetCookie;
pub use policy::{Policy, RequestDirective};
pub use service::ResponseCache;
