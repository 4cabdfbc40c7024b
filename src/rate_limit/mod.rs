//! Rate limiting.

pub(crate) mod algorithm;
mod client_ip;
mod config;
mod decision;
mod denial;
mod denials;
mod failure;
mod forwarded;
mod future;
mod headers;
mod key;
mod layer;
mod policy;
mod quota;
mod service;
pub(crate) mod subject;

pub use algorithm::Algorithm;
pub use client_ip::{ForwardingField, TrustedProxies};
pub use decision::{PolicyDecision, RateLimitDecision};
pub use denial::{Denial, DenialReason};
pub use failure::StoreFailure;
pub use future::ResponseFuture;
pub use headers::HeaderDialect;
pub use key::{Key, MissingKey};
pub use layer::RateLimitLayer;
pub use policy::{Policy, PolicyError};
pub use quota::{Quota, QuotaError};
pub use service::RateLimit;
